// Reductions x (outer,n,inner) -> y (outer,inner), and the position of the largest value.
//
// A block's threads stand as rows of `columns`: thread (r, c) combines values r, r + rows, … of column c, and
// the rows are combined as a tree. Nothing depends on which block runs first, so results repeat bit for bit.
#include "functors.cuh"
#include "launch.cuh"

namespace tenon::cuda::kernels {

namespace {

// One stage: job (o, tile, piece) writes out[(o·pieces + piece)·inner + c] for the columns c of its tile.
template <class Op, class In, class Out>
__global__ void __launch_bounds__(block_threads)
    reduce_stage(Op op, ReduceGeometry g, ReducePlan plan, const In* x, Out* out) {
  using W = Wide<In>;
  __shared__ W shared[block_threads];
  const int columns = static_cast<int>(plan.columns), rows = block_threads / columns;
  const int row = static_cast<int>(threadIdx.x) / columns, column = static_cast<int>(threadIdx.x) % columns;
  const Index tiles = (g.inner + columns - 1) / columns;
  for (Index job = blockIdx.x; job < g.outer * tiles * plan.pieces; job += gridDim.x) {
    const Index piece = job % plan.pieces, tile = job / plan.pieces % tiles, o = job / plan.pieces / tiles;
    const Index c = tile * columns + column, first = piece * plan.piece;
    const Index last = min(first + plan.piece, g.n);
    W value = Op::template start<W>();
    if (c < g.inner) {
      for (Index i = first + row; i < last; i += rows)
        value = op(value, widen(x[(o * g.n + i) * g.inner + c]));
    }
    value = column_reduce(op, value, columns, shared);
    if (row == 0 && c < g.inner) out[(o * plan.pieces + piece) * g.inner + c] = narrow<Out>(value);
  }
}

template <class Op, class In, class Out>
Status launch_stage(Stream stream, Op op, const ReduceGeometry& g, const ReducePlan& plan, const In* x,
                    Out* out) {
  const Index jobs = g.outer * ((g.inner + plan.columns - 1) / plan.columns) * plan.pieces;
  if (jobs <= 0) return cudaSuccess;
  reduce_stage<<<blocks_for(jobs), block_threads, 0, stream>>>(op, g, plan, x, out);
  return cudaGetLastError();
}

}  // namespace

template <class Op, class T>
Status reduce(Stream stream, Op op, const ReduceGeometry& g, const ReducePlan& plan, const T* x,
              Wide<T>* partial, T* y) {
  if (plan.pieces == 1) return launch_stage(stream, op, g, plan, x, y);
  if (const Status status = launch_stage(stream, op, g, plan, x, partial)) return status;
  ReducePlan whole = plan;
  whole.piece = plan.pieces;
  whole.pieces = 1;
  return launch_stage(stream, op, ReduceGeometry{g.outer, plan.pieces, g.inner}, whole,
                      static_cast<const Wide<T>*>(partial), y);
}

// The first of equals, and the first NaN if there is one. A thread a result.
template <class T>
Status argmax(Stream stream, const ReduceGeometry& g, const T* x, std::int64_t* y) {
  return launch_each(stream, g.outer * g.inner, [=] __device__(Index at) {
    const T* column = x + at / g.inner * g.n * g.inner + at % g.inner;
    Index best = 0;
    auto top = widen(column[0]);
    for (Index i = 1; i < g.n; ++i) {
      const auto value = widen(column[i * g.inner]);
      if (top == top && !(value <= top)) {
        best = i;
        top = value;
      }
    }
    y[at] = best;
  });
}

#define INSTANTIATE(Op, T) \
  template Status reduce(Stream, Op, const ReduceGeometry&, const ReducePlan&, const T*, Wide<T>*, T*);
#define INSTANTIATE_TYPE(T)        \
  TENON_REDUCTIONS(INSTANTIATE, T) \
  template Status argmax(Stream, const ReduceGeometry&, const T*, std::int64_t*);
INSTANTIATE_TYPE(float)
INSTANTIATE_TYPE(double)
INSTANTIATE_TYPE(half)
INSTANTIATE_TYPE(bfloat16)
INSTANTIATE_TYPE(std::int32_t)
INSTANTIATE_TYPE(std::int64_t)
#undef INSTANTIATE_TYPE
#undef INSTANTIATE

}  // namespace tenon::cuda::kernels
