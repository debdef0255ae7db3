// Checkpoints: everything comes back, and a file that does not fit is refused with nothing changed.
#include <map>

#include "close.hpp"
#include "files.hpp"
#include "tenon/nn/nn.hpp"
#include "tenon/optim/optim.hpp"
#include "tenon/train/checkpoint.hpp"

using namespace tenon;
using namespace tenon::train;
using testing::contains;
using testing::error_text;
using testing::ScratchFolder;

namespace {

// A small classifier with every kind of state: weights, running statistics, a generator.
struct Small {
  using value_type = float;
  using device_type = Cpu;
  Rng rng;
  nn::Linear<float> first;
  nn::BatchNorm1d<float> norm{{.channels = 5}};
  nn::Dropout drop;
  nn::Linear<float> last;

  explicit Small(std::uint64_t seed, Index classes = 3)
      : rng(seed),
        first({.in = 4, .out = 5}, rng),
        drop({.probability = 0.5}, rng),
        last({.in = 5, .out = classes}, rng) {}
  void parts(auto&& visit) {
    visit("first", first);
    visit("norm", norm);
    visit("drop", drop);
    visit("last", last);
  }
  Var<float> operator()(const Var<float>& x) { return last(drop(relu(norm(first(x))))); }
};

template <class Optimizer>
void steps(Small& model, Optimizer& optimizer, Index from, Index to) {
  for (Index s = from; s < to; ++s) {
    Rng rng(static_cast<std::uint64_t>(s) + 100);
    const Var<float> x(Tensor<float>::normal({6, 4}, rng));
    const auto loss = nn::cross_entropy(model(x), nn::Labels({6}, {0, 1, 2, 0, 1, 2}));
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
  }
}

// Everything that a run's future depends on, as text.
template <class Optimizer>
std::map<std::string, std::string> everything(Small& model, Optimizer& optimizer) {
  std::map<std::string, std::string> all;
  train::detail::checkpoint_parts(model, optimizer, [&](const std::string& name, auto& part) {
    if constexpr (requires { part.to_vector(); }) {
      for (const auto v : part.to_vector()) all[name] += text(v, " ");
    } else if constexpr (std::same_as<std::remove_cvref_t<decltype(part)>, Rng>) {
      all[name] = text(part.state().seed, " ", part.state().stream, " ", part.state().position);
    } else {
      all[name] = text(part);
    }
  });
  return all;
}

Sgd<float> sgd(Small& model) { return Sgd(nn::parameters(model), {.lr = 0.1, .momentum = 0.9}); }

// A trained model with its optimiser, and a checkpoint of it on disk.
struct Trained {
  ScratchFolder folder;
  std::filesystem::path path = folder.path() / "last.safetensors";
  Small model{1};
  Sgd<float> optimizer = sgd(model);
  std::map<std::string, std::string> saved;

  Trained() {
    steps(model, optimizer, 0, 3);
    optimizer.set_lr(0.0625);
    save_checkpoint(path, model, optimizer, {{"note", "hello"}});
    saved = everything(model, optimizer);
  }
};

// Loading must fail with one line that opens with the file's name, and change nothing. Returns that line.
std::string refused(const std::filesystem::path& path, Small& model) {
  auto optimizer = sgd(model);
  steps(model, optimizer, 7, 9);
  const auto before = everything(model, optimizer);
  const std::string message = error_text<FileError>([&] { load_checkpoint(path, model, optimizer); });
  CHECK(message.starts_with(path.string()));
  CHECK(everything(model, optimizer) == before);
  return message.substr(std::min(message.size(), path.string().size()));
}
std::string refused(const std::filesystem::path& path) {
  Small model(2);
  return refused(path, model);
}

// The checkpoint with something changed: edit(metadata, tensors by name).
template <class Edit>
std::string edited(const Trained& from, const Edit& edit) {
  const auto file = io::SafeTensors::load(from.path);
  io::SafeTensorsWriter out;
  out.metadata = file.metadata();
  std::map<std::string, Tensor<float>> tensors;
  for (const auto& name : file.names()) tensors[name] = file.get<float>(name);
  edit(out.metadata, tensors);
  for (const auto& [name, tensor] : tensors) out.add(name, tensor);
  const auto path = from.folder.path() / "edited.safetensors";
  out.save(path);
  return refused(path);
}

using Metadata = std::map<std::string, std::string>;
using Tensors = std::map<std::string, Tensor<float>>;

// The checkpoint with another JSON value for one of its values.
std::string with_value(const Trained& from, const std::string& name, const io::Json& value) {
  return edited(from, [&](Metadata& metadata, Tensors&) {
    io::Json values = io::Json::parse(metadata.at("values"));
    CHECK(values.contains(name));
    values[name] = value;
    metadata["values"] = values.dump();
  });
}

}  // namespace

TEST_CASE("checkpoint: weights, statistics, generators and the optimiser come back") {
  Trained from;
  Small model(9);
  auto optimizer = sgd(model);
  CHECK(everything(model, optimizer) != from.saved);
  const io::Json run = load_checkpoint(from.path, model, optimizer);
  CHECK(run == io::Json{{"note", "hello"}});
  CHECK(everything(model, optimizer) == from.saved);
  CHECK(optimizer.lr() == 0.0625);

  steps(model, optimizer, 3, 6);  // and the future is the same
  steps(from.model, from.optimizer, 3, 6);
  CHECK(everything(model, optimizer) == everything(from.model, from.optimizer));
}

TEST_CASE("checkpoint: Adam's moments and its count of updates") {
  const ScratchFolder folder;
  Small a(1), b(2);
  AdamW one(nn::parameters(a), {.lr = 0.01}), two(nn::parameters(b), {.lr = 0.5});
  steps(a, one, 0, 3);
  save_checkpoint(folder.path() / "adam", a, one, {});
  load_checkpoint(folder.path() / "adam", b, two);
  CHECK(everything(a, one).at("optimizer.updates.0") == "3");
  steps(a, one, 3, 6);
  steps(b, two, 3, 6);
  CHECK(everything(a, one) == everything(b, two));
}

TEST_CASE("checkpoint: the same state is the same file") {
  Trained from;
  const auto second = from.folder.path() / "second";
  save_checkpoint(second, from.model, from.optimizer, {{"note", "hello"}});
  CHECK(io::read_file(second) == io::read_file(from.path));
}

TEST_CASE("checkpoint: truncated anywhere") {
  const Trained from;
  const std::string bytes = io::read_file(from.path);
  std::vector<std::size_t> lengths = {0, 1, 7, 8, 9, 100, bytes.size() - 1, bytes.size() - 4};
  for (std::size_t length = 0; length < bytes.size(); length += 97) lengths.push_back(length);
  Small model(2);
  for (const std::size_t length : lengths) {
    refused(from.folder.file("cut", bytes.substr(0, length)), model);
  }
  refused(from.folder.file("cut", bytes + "x"), model);
}

TEST_CASE("checkpoint: garbage in place of bytes of the header is refused or harmless, never half taken") {
  const Trained from;
  const std::string bytes = io::read_file(from.path);
  Small model(2);
  auto optimizer = sgd(model);
  Rng rng(3);
  int failures = 0;
  for (int i = 0; i < 300; ++i) {
    std::string broken = bytes;
    broken[static_cast<std::size_t>(rng.below(1500))] = static_cast<char>(rng.below(256));
    const auto path = from.folder.file("broken", broken);
    const auto before = everything(model, optimizer);
    try {
      load_checkpoint(path, model, optimizer);
    } catch (const FileError& error) {
      ++failures;
      CHECK(std::string(error.what()).starts_with(path.string()));
      CHECK(std::string(error.what()).find('\n') == std::string::npos);
      CHECK(everything(model, optimizer) == before);
    }
  }
  CHECK(failures > 200);
  refused(from.folder.file("noise", std::string(5000, '\xA7')), model);
}

TEST_CASE("checkpoint: no file, a folder, a safetensors file of something else") {
  const Trained from;
  CHECK(contains(refused(from.folder.path() / "absent"), ": cannot open: "));
  refused(from.folder.path());
  io::SafeTensorsWriter weights;
  weights.add("first.weight", Tensor<float>::ones({5, 4}));
  weights.save(from.folder.path() / "weights");
  CHECK(refused(from.folder.path() / "weights") == ": not a checkpoint: no 'format' in its metadata");
  CHECK(edited(from, [](Metadata& metadata, Tensors&) { metadata["format"] = "other\n2"; }) ==
        ": checkpoint format \"other\\n2\", expected \"tenon-checkpoint-1\"");
  for (const char* key : {"values", "run"}) {
    CHECK(edited(from, [&](Metadata& metadata, Tensors&) { metadata.erase(key); }) ==
          text(": not a checkpoint: no '", key, "' in its metadata"));
    CHECK(
        contains(edited(from, [&](Metadata& metadata, Tensors&) { metadata[key] = "{"; }), "not valid JSON"));
  }
}

TEST_CASE("checkpoint: tensors that are missing, left over, of another shape or type") {
  const Trained from;
  CHECK(edited(from, [](Metadata&, Tensors& tensors) { tensors.erase("model.last.bias"); }) ==
        ": no tensor 'model.last.bias'; is it from another model?");
  CHECK(edited(from, [](Metadata&, Tensors& tensors) { tensors.erase("optimizer.velocity.5"); }) ==
        ": no tensor 'optimizer.velocity.5'; is it from another model?");
  CHECK(edited(from, [](Metadata&, Tensors& tensors) {
          tensors["model.more\n"] = Tensor<float>::ones({1});
        }) == ": the model has no \"model.more\\n\"; is it from another model?");
  CHECK(edited(from, [](Metadata&, Tensors& t) {
          t["model.last.weight"] = Tensor<float>::ones({5, 3});
        }) == ": model.last.weight is (5,3), the model expects (3,5)");
  CHECK(edited(from, [](Metadata&, Tensors& t) { t["optimizer.velocity.0"] = Tensor<float>::ones({20}); }) ==
        ": optimizer.velocity.0 is (20), the model expects (5,4)");

  const auto file = io::SafeTensors::load(from.path);
  io::SafeTensorsWriter doubles;
  doubles.metadata = file.metadata();
  for (const auto& name : file.names()) doubles.add(name, file.get<float>(name).cast<double>());
  doubles.save(from.folder.path() / "doubles");
  CHECK(contains(refused(from.folder.path() / "doubles"), "its type is F64, expected F32"));
}

TEST_CASE("checkpoint: values of another kind, missing or left over") {
  const Trained from;
  const std::string rng = "model.drop.rng", lr = "optimizer.lr", updates = "optimizer.updates.0";
  for (const io::Json& bad : {io::Json(1), io::Json("1"), io::Json(nullptr), io::Json({1, 2}),
                              io::Json({1, 2, -3}), io::Json({1, 2, 3.5}), io::Json({1, 2, 3, 4})}) {
    CHECK(with_value(from, rng, bad) == ": the value 'model.drop.rng' is not of the expected kind");
  }
  for (const io::Json& bad : {io::Json("1"), io::Json(true), io::Json(nullptr), io::Json({1})}) {
    CHECK(with_value(from, lr, bad) == ": the value 'optimizer.lr' is not of the expected kind");
  }
  for (const io::Json& bad : {io::Json(1e300), io::Json(-1), io::Json(0.5), io::Json(true)}) {
    CHECK(with_value(from, updates, bad) == ": the value 'optimizer.updates.0' is not of the expected kind");
  }
  const auto values = [&](const auto& edit) {
    return edited(from, [&](Metadata& metadata, Tensors&) {
      io::Json json = io::Json::parse(metadata.at("values"));
      edit(json);
      metadata["values"] = json.dump();
    });
  };
  CHECK(values([&](io::Json& json) { json.erase(rng); }) ==
        ": no value 'model.drop.rng'; is it from another model?");
  CHECK(values([](io::Json& json) {
          json["model.drop2.rng"] = {1, 2, 3};
        }) == ": the model has no \"model.drop2.rng\"; is it from another model?");
  CHECK(contains(values([](io::Json& json) { json = 5; }), "no value"));
}

TEST_CASE("checkpoint: from a model with another head, and for another optimiser") {
  const Trained from;
  Small other(2, 4);
  CHECK(refused(from.path, other) == ": model.last.weight is (3,5), the model expects (4,5)");
  Small model(2);
  AdamW adam(nn::parameters(model), {});
  const auto before = everything(model, adam);
  CHECK(contains(error_text<FileError>([&] { load_checkpoint(from.path, model, adam); }),
                 "no tensor 'optimizer.mean.0'"));
  Sgd plain(nn::parameters(model), {.lr = 0.1});
  CHECK(
      contains(error_text<FileError>([&] { load_checkpoint(from.path, model, plain); }), "the model has no"));
  CHECK(everything(model, adam) == before);
}

TEST_CASE("checkpoint: what accept() refuses is not taken over") {
  Trained from;
  Small model(2);
  auto optimizer = sgd(model);
  const auto before = everything(model, optimizer);
  const auto refuse = [](const io::Json& run) {
    fail<ValueError>("note is ", run.at("note").get<std::string>());
  };
  CHECK(error_text<ValueError>([&] { load_checkpoint(from.path, model, optimizer, refuse); }) ==
        "note is hello");
  CHECK(everything(model, optimizer) == before);
}

TEST_CASE("checkpoint: saving is all or nothing") {
  Trained from;
  const std::string bytes = io::read_file(from.path);
  const auto entries = from.folder.entries();
  steps(from.model, from.optimizer, 3, 4);
  from.optimizer.set_lr(0.5);
  // A name that cannot be taken: a folder that is not empty.
  from.folder.file("taken/inside", "x");
  const auto taken = from.folder.path() / "taken";
  CHECK(error_text<FileError>([&] {
          save_checkpoint(taken, from.model, from.optimizer, {});
        }).starts_with(taken.string()));
  CHECK_THROWS_AS(save_checkpoint(from.folder.path() / "absent/last", from.model, from.optimizer, {}),
                  FileError);
  CHECK(io::read_file(from.path) == bytes);
  CHECK(from.folder.entries() == entries + 1);  // no temporary file is left

  save_checkpoint(from.path, from.model, from.optimizer, {});
  CHECK(io::read_file(from.path) != bytes);
  CHECK(from.folder.entries() == entries + 1);
}
