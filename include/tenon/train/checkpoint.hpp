// Checkpoints: everything a run needs to go on as if it had never stopped, in one safetensors file.
//
// Tensors `model.<name>` and `optimizer.<name>`; the metadata holds, as JSON, the states of the model's random
// generators, the optimiser's counters, and whatever the training loop adds. Any program that reads safetensors
// can look inside.
#pragma once

#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tenon/io/safetensors.hpp"
#include "tenon/nn/module.hpp"

namespace tenon::train {

namespace detail {

inline constexpr const char* checkpoint_format = "tenon-checkpoint-1";

// Calls visit(name, part) for all that a checkpoint holds: tensors, generators and counters.
template <class Model, class Optimizer, class Visit>
void checkpoint_parts(Model& model, Optimizer& optimizer, const Visit& visit) {
  nn::walk(model, "model", [&](const std::string& name, auto& part) {
    using Part = std::remove_cvref_t<decltype(part)>;
    if constexpr (nn::detail::is_var<Part>) {
      if (part.defined()) visit(name, part.value());
    } else if constexpr (nn::detail::is_tensor<Part> || std::same_as<Part, Rng>) {
      visit(name, part);
    }
  });
  optimizer.state([&](std::string_view name, auto& part) { visit(text("optimizer.", name), part); });
}

// A generator, a count or a number as save_checkpoint stores it; false if the JSON is something else.
inline bool read_value(const io::Json& json, Rng& rng) {
  if (!json.is_array() || json.size() != 3) return false;
  for (const io::Json& word : json) {
    if (!word.is_number_unsigned()) return false;
  }
  rng = Rng(RngState{json[0].get<std::uint64_t>(), json[1].get<std::uint64_t>(), json[2].get<std::uint64_t>()});
  return true;
}
inline bool read_value(const io::Json& json, Index& count) {
  if (!json.is_number_integer()) return false;
  count = json.get<Index>();
  return count >= 0;
}
inline bool read_value(const io::Json& json, double& number) {
  if (!json.is_number()) return false;
  number = json.get<double>();
  return true;
}

}  // namespace detail

// Written whole or not at all.
template <class Model, class Optimizer>
void save_checkpoint(const std::filesystem::path& path, Model& model, Optimizer& optimizer, const io::Json& run) {
  io::SafeTensorsWriter file;
  io::Json values = io::Json::object();
  detail::checkpoint_parts(model, optimizer, [&](const std::string& name, auto& part) {
    using Part = std::remove_cvref_t<decltype(part)>;
    if constexpr (nn::detail::is_tensor<Part>) {
      file.add(name, part);
    } else if constexpr (std::same_as<Part, Rng>) {
      values[name] = {part.state().seed, part.state().stream, part.state().position};
    } else {
      values[name] = part;
    }
  });
  file.metadata = {{"format", detail::checkpoint_format}, {"values", values.dump()}, {"run", run.dump()}};
  file.save(path);
}

// Restores model and optimiser and returns what the training loop had added, after showing it to `accept`, which
// may refuse it by throwing. Everything is checked before anything is changed; FileError names the file and what
// does not fit.
template <class Model, class Optimizer>
io::Json load_checkpoint(const std::filesystem::path& path, Model& model, Optimizer& optimizer,
                         const std::function<void(const io::Json&)>& accept = {}) {
  const auto file = io::SafeTensors::load(path);
  const auto meta = [&](const char* key) {
    const auto found = file.metadata().find(key);
    require<FileError>(found != file.metadata().end(), path.string(), ": not a checkpoint: no '", key,
                       "' in its metadata");
    return found->second;
  };
  require<FileError>(meta("format") == detail::checkpoint_format, path.string(), ": checkpoint format ",
                     io::Json(meta("format")).dump().substr(0, 40), ", expected \"", detail::checkpoint_format, "\"");
  const io::Json values = io::parse_json(meta("values"), path.string());
  const io::Json run = io::parse_json(meta("run"), path.string());

  std::set<std::string> unused;
  for (const auto& name : file.names()) unused.insert(name);
  for (const auto& [name, value] : values.items()) unused.insert(name);
  std::vector<std::function<void()>> writes;
  detail::checkpoint_parts(model, optimizer, [&](const std::string& name, auto& part) {
    using Part = std::remove_cvref_t<decltype(part)>;
    if constexpr (nn::detail::is_tensor<Part>) {
      require<FileError>(file.contains(name), path.string(), ": no tensor '", name, "'; is it from another model?");
      const auto source = file.get<typename Part::value_type>(name);
      require<FileError>(source.shape() == part.shape(), path.string(), ": ", name, " is ", source.shape(),
                         ", the model expects ", part.shape());
      unused.erase(name);
      writes.push_back([&part, source] { part.copy_(source.template to<typename Part::device_type>()); });
    } else {
      const auto found = values.find(name);
      require<FileError>(found != values.end(), path.string(), ": no value '", name, "'; is it from another model?");
      Part value = part;
      require<FileError>(detail::read_value(*found, value), path.string(), ": the value '", name,
                         "' is not of the expected kind");
      unused.erase(name);
      writes.push_back([&part, value] { part = value; });
    }
  });
  require<FileError>(unused.empty(), path.string(), ": the model has no ",
                     unused.empty() ? "" : io::Json(*unused.begin()).dump().substr(0, 80),
                     "; is it from another model?");
  if (accept) accept(run);
  for (const auto& write : writes) write();
  return run;
}

}  // namespace tenon::train
