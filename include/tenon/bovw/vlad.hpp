// VLAD, the vector of locally aggregated descriptors (Jégou et al. 2010): for each word the sum of what its
// descriptors differ from it by, normalised for each word (Arandjelović & Zisserman 2013, "All about VLAD").
#pragma once

#include <span>
#include <vector>

#include "tenon/bovw/histogram.hpp"
#include "tenon/bovw/normalize.hpp"
#include "tenon/bovw/vocabulary.hpp"

namespace tenon {

struct VladOptions {
  bool intra = true;  // each word's part to length 1
  double power = 1;   // sign(x)·|x|^power before that; 1: as it is
};

// The given rows of descriptors (n,d), assigned to the vocabulary's words -> (words·d) of length 1, or zeros
// without any row.
inline Tensor<float> vlad(const Tensor<float>& descriptors, const Assignment& a, std::span<const Index> rows,
                          const Vocabulary& vocabulary, const VladOptions& o = {}) {
  const Index width = vocabulary.width(), shared = a.words.size(1);
  require<ShapeError>(
      descriptors.rank() == 2 && descriptors.size(1) == width && descriptors.size(0) == a.words.size(0),
      "vlad: descriptors ", descriptors.shape(), ", words ", vocabulary.words().shape(), ", assignment ",
      a.words.shape());
  auto v = Tensor<float>::zeros({vocabulary.size(), width});
  for (const Index r : rows) {
    const float* x = descriptors.data() + r * width;
    for (Index k = r * shared; k < (r + 1) * shared; ++k) {
      const Index word = a.words.data()[k];
      const float *center = vocabulary.word(word), weight = a.weights.data()[k];
      float* to = v.data() + word * width;
      for (Index i = 0; i < width; ++i) to[i] += weight * (x[i] - center[i]);
    }
  }
  power_normalize_(v, o.power);
  if (o.intra) l2_normalize_(v);
  v = v.reshape({v.numel()});
  l2_normalize_(v);
  return v;
}

}  // namespace tenon
