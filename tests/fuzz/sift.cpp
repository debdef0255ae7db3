// Fuzzes SIFT: whatever the picture and the options, finite key points and descriptors of unit length, or an
// Error.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "tenon/features/dense_sift.hpp"
#include "tenon/features/sift/sift.hpp"

namespace {

// Reads options and a picture from bytes, zeros once they run out.
class Bytes {
 public:
  Bytes(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

  int below(int n) {
    const int value = at_ < size_ ? data_[at_] : 0;
    ++at_;
    return value % n;
  }

  float real() {
    float value = 0;
    if (at_ + sizeof value <= size_) std::memcpy(&value, data_ + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }

  bool left() const { return at_ < size_; }

 private:
  const std::uint8_t* data_;
  std::size_t size_, at_ = 0;
};

void check(const tenon::Features& found) {
  const auto count = static_cast<tenon::Index>(found.keypoints.size());
  if (found.descriptors.shape() != tenon::Shape{count, tenon::sift_length}) std::abort();
  for (const tenon::Keypoint& k : found.keypoints) {
    if (!std::isfinite(k.x) || !std::isfinite(k.y) || !(k.sigma > 0) || !std::isfinite(k.response))
      std::abort();
    if (!(k.angle >= 0 && k.angle < 6.2832f)) std::abort();
  }
  for (tenon::Index i = 0; i < count; ++i) {
    double norm = 0;
    for (tenon::Index j = 0; j < tenon::sift_length; ++j) {
      const float v = found.descriptors.data()[i * tenon::sift_length + j];
      norm += static_cast<double>(v) * static_cast<double>(v);
    }
    if (!(norm == 0 || std::abs(norm - 1) < 1e-3)) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  tenon::set_thread_count(1);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tenon;
  Bytes bytes(data, size);
  SiftOptions options = bytes.below(2) == 0 ? SiftOptions{} : SiftOptions::vlfeat();
  options.first_octave = bytes.below(4) - 2;
  // Small pictures, for many runs a second; smaller ones where the first octave enlarges them.
  const int side = options.first_octave >= 0 ? 24 : options.first_octave == -1 ? 16 : 10;
  const Index width = 1 + bytes.below(side), height = 1 + bytes.below(side);
  options.scales = 1 + bytes.below(5);
  options.octaves = bytes.below(3);
  options.upright = bytes.below(2) == 1;
  options.max_features = bytes.below(8);
  const bool reals = bytes.below(4) == 0;  // any float, also those that are no picture
  DenseSiftOptions dense{.step = 1 + bytes.below(9), .bin_size = 1 + bytes.below(9)};
  Keypoint frame{.x = bytes.real(), .y = bytes.real(), .sigma = bytes.real(), .angle = bytes.real()};

  Tensor<float> picture({height, width});
  std::uint32_t noise = 1;
  for (float& v : picture.span()) {  // once the bytes run out, what was there goes on with a little noise
    noise = noise * 1664525u + 1013904223u;
    const float extra = bytes.left() ? 0.0f : static_cast<float>(noise >> 24) / 255.0f;
    v = reals ? bytes.real() : static_cast<float>(bytes.below(256)) / 255.0f + extra;
  }
  try {
    check(sift(picture, options));
    check(dense_sift(picture, dense));
    const std::vector<Keypoint> frames{frame};
    const auto descriptor = sift_descriptors(picture, frames, options);
    for (const float v : descriptor.span()) {
      if (!(v >= 0 && v <= 1.001f)) std::abort();
    }
  } catch (const Error&) {}
  return 0;
}
