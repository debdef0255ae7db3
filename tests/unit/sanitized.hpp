// Sanitizers run unoptimised code, a hundred times slower. They look for other faults than wrong numbers, and
// a part of the random cases shows those.
#pragma once

namespace tenon::testing {

inline constexpr bool sanitized = TENON_SANITIZED;

// How many of `all` random cases are tried.
constexpr int rounds(int all) { return sanitized ? (all + 3) / 4 : all; }

}  // namespace tenon::testing
