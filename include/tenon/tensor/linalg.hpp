// Decompositions of dense matrices in double precision: the part of linear algebra that the library leaves to
// Eigen, and the one header that includes it. Names and conventions are those of torch.linalg.
#pragma once

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push  // g++ 12 takes the vector instructions' undefined operands for mistakes
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <Eigen/Dense>
#pragma GCC diagnostic pop
#else
#include <Eigen/Dense>
#endif

#include "tenon/tensor/tensor.hpp"

namespace tenon::linalg {

namespace detail {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// The elements of a (m,n), without copying them.
inline Eigen::Map<const Matrix> view(const Tensor<double>& a) { return {a.data(), a.size(0), a.size(1)}; }

template <class M>
Tensor<double> to_tensor(const M& m) {
  Tensor<double> out({m.rows(), m.cols()});
  if (out.numel() > 0) Eigen::Map<Matrix>(out.data(), m.rows(), m.cols()) = m;
  return out;
}

inline void check(const Tensor<double>& a, const char* who) {
  require<ShapeError>(a.rank() == 2 && a.numel() > 0, who, ": a matrix of shape ", a.shape(),
                      ", expected two dimensions and at least one element");
  require<ValueError>(view(a).allFinite(), who, ": the matrix has an element that is not finite");
}

}  // namespace detail

struct Eigh {
  Tensor<double> values;   // (n), rising
  Tensor<double> vectors;  // (n,n): column i, of length 1, belongs to values[i]; its sign is arbitrary
};

// a (n,n) = vectors · diag(values) · vectorsᵀ. Only the lower triangle of a is read.
inline Eigh eigh(const Tensor<double>& a) {
  detail::check(a, "eigh");
  require<ShapeError>(a.size(0) == a.size(1), "eigh: a matrix of shape ", a.shape(), " is not square");
  const Eigen::SelfAdjointEigenSolver<detail::Matrix> solver(detail::view(a));
  require<ValueError>(solver.info() == Eigen::Success, "eigh: no convergence for a matrix of shape ",
                      a.shape());
  return {detail::to_tensor(solver.eigenvalues()).reshape({-1}), detail::to_tensor(solver.eigenvectors())};
}

struct Svd {
  Tensor<double> u;   // (m,r), orthonormal columns
  Tensor<double> s;   // (r), falling, r = min(m,n)
  Tensor<double> vt;  // (r,n), orthonormal rows
};

// a (m,n) = u · diag(s) · vt, the thin form. With `full`, vt is (n,n): its rows beyond the rank span the null
// space.
inline Svd svd(const Tensor<double>& a, bool full = false) {
  detail::check(a, "svd");
  const unsigned v = full ? Eigen::ComputeFullV : Eigen::ComputeThinV;
  const auto finish = [](const auto& solver) {
    return Svd{detail::to_tensor(solver.matrixU()), detail::to_tensor(solver.singularValues()).reshape({-1}),
               detail::to_tensor(solver.matrixV().transpose())};
  };
  // Jacobi is the more accurate for the small systems of geometry, divide and conquer the faster for the
  // rest.
  const Eigen::MatrixXd m = detail::view(a);
  if (std::min(m.rows(), m.cols()) <= 16) {
    return finish(Eigen::JacobiSVD<Eigen::MatrixXd>(m, Eigen::ComputeThinU | v));
  }
  return finish(Eigen::BDCSVD<Eigen::MatrixXd>(m, Eigen::ComputeThinU | v));
}

// The x (n) or (n,r) of least |a·x - b|, and of those the shortest; a (m,n) of any rank, b (m) or (m,r).
inline Tensor<double> lstsq(const Tensor<double>& a, const Tensor<double>& b) {
  detail::check(a, "lstsq");
  require<ShapeError>((b.rank() == 1 || b.rank() == 2) && b.size(0) == a.size(0), "lstsq: b is ", b.shape(),
                      ", expected ", a.size(0), " rows as in a ", a.shape());
  const Tensor<double> columns = b.rank() == 1 ? b.reshape({-1, 1}) : b;
  detail::check(columns, "lstsq");
  const Eigen::CompleteOrthogonalDecomposition<Eigen::MatrixXd> solver(Eigen::MatrixXd(detail::view(a)));
  const Tensor<double> x = detail::to_tensor(solver.solve(Eigen::MatrixXd(detail::view(columns))).eval());
  return b.rank() == 1 ? x.reshape({-1}) : x;
}

}  // namespace tenon::linalg
