// A picture as the histogram of its visual words, and words weighed by how telling they are.
#pragma once

#include <cmath>
#include <span>
#include <vector>

#include "tenon/bovw/vocabulary.hpp"

namespace tenon {

namespace detail {

inline std::vector<Index> all_rows(Index n) {
  std::vector<Index> rows(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<Index>(i);
  return rows;
}

}  // namespace detail

// The weight that each of `words` words got from the given rows of the assignment -> (words). It adds up to
// the number of rows.
inline Tensor<float> word_histogram(const Assignment& a, std::span<const Index> rows, Index words) {
  auto h = Tensor<float>::zeros({words});
  const Index k = a.words.size(1);
  for (const Index r : rows) {
    for (Index i = r * k; i < (r + 1) * k; ++i) {
      require<ValueError>(a.words.data()[i] < words, "word_histogram: word ", a.words.data()[i], " of ",
                          words);
      h.data()[a.words.data()[i]] += a.weights.data()[i];
    }
  }
  return h;
}
inline Tensor<float> word_histogram(const Assignment& a, Index words) {
  return word_histogram(a, detail::all_rows(a.words.size(0)), words);
}

// Inverse document frequency (Spärck Jones 1972): log(n / nᵢ) of a word that nᵢ of the n pictures have, 0 of
// one that none has. histograms (n,words) -> (words)
inline Tensor<float> inverse_document_frequency(const Tensor<float>& histograms) {
  require<ShapeError>(histograms.rank() == 2 && histograms.size(0) > 0, "inverse_document_frequency: shape ",
                      histograms.shape(), ", expected (n,words) and at least one picture");
  const Index n = histograms.size(0), words = histograms.size(1);
  auto idf = Tensor<float>::zeros({words});
  for (Index i = 0; i < histograms.numel(); ++i) idf.data()[i % words] += histograms.data()[i] > 0;
  for (float& v : idf.span()) v = v > 0 ? static_cast<float>(std::log(static_cast<double>(n) / v)) : 0;
  return idf;
}

// Multiplies each picture's histogram by the words' weights, in place: histograms (n,words), idf (words).
inline void apply_tf_idf_(Tensor<float>& histograms, const Tensor<float>& idf) {
  require<ShapeError>(histograms.rank() == 2 && idf.rank() == 1 && histograms.size(1) == idf.size(0),
                      "apply_tf_idf_: histograms ", histograms.shape(), " and weights ", idf.shape());
  for (Index i = 0; i < histograms.numel(); ++i) histograms.data()[i] *= idf.data()[i % idf.size(0)];
}

}  // namespace tenon
