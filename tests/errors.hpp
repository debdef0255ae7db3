// What tests of errors need: the message that must come, and what it must say.
#pragma once

#include <doctest/doctest.h>

#include <string>

#include "tenon/core/error.hpp"

namespace tenon::testing {

// The message of the E that `action` must throw; it must be one line.
template <class E = FileError, class Action>
std::string error_text(Action&& action) {
  try {
    action();
  } catch (const E& error) {
    const std::string message = error.what();
    CHECK(message.find('\n') == message.npos);
    return message;
  } catch (const std::exception& error) { FAIL("another exception: " << error.what()); }
  FAIL("nothing was thrown");
  return {};
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

}  // namespace tenon::testing
