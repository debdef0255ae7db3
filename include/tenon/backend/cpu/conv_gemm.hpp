// 2-D convolution as implicit matrix multiplication: y = patches(x)·wᵀ, and the two gradients; and the plain
// loops. x (N,H,W,C), w (O,KH,KW,C/groups), y (N,OH,OW,O); any stride, padding, dilation and groups.
#pragma once

#include "tenon/backend/cpu/conv_weights.hpp"
#include "tenon/backend/cpu/elementwise.hpp"
#include "tenon/backend/cpu/epilogue.hpp"
#include "tenon/backend/cpu/patch_lines.hpp"

namespace tenon::cpu {

namespace detail {

template <class T>
Patches<T> forward_patches(const Conv2dGeometry& g, const T* x, Index group) {
  Patches<T> p{x,    g.h,  g.w,        g.c,        g.group_in(), group * g.group_in(),
               g.oh, g.ow, g.stride_h, g.stride_w, {},           {}};
  for (Index ky = 0; ky < g.kh; ++ky) p.offset_y.push_back(ky * g.dilation_h - g.pad_h);
  for (Index kx = 0; kx < g.kw; ++kx) p.offset_x.push_back(kx * g.dilation_w - g.pad_w);
  return p;
}

// Along one axis: which taps reach the input positions phase, phase + stride, …, and from which output
// position: input i = phase + stride·q receives tap k from output q + offset. Last taps first, so that the
// offsets rise.
struct PhaseTaps {
  std::vector<Index> taps, offsets;
};

inline PhaseTaps phase_taps(Index phase, Index kernel, Index stride, Index pad, Index dilation) {
  PhaseTaps found;
  for (Index k = kernel - 1; k >= 0; --k) {
    const Index distance = phase + pad - k * dilation;
    if (distance % stride != 0) continue;
    found.taps.push_back(k);
    found.offsets.push_back(distance / stride);
  }
  return found;
}

// Whether a product with patches goes by lines of windows: the weights are then read for each few lines, from
// the second-level cache if they are small.
inline bool by_lines(Index taps, Index o) { return taps * o <= 8192; }

// y = finish(windows·w) for the windows that were taken, w (taps,o); a row of y is `stride` long. Tiles of neighbours
// on one line share addresses, and a line of them is done in one go.
template <class T, class Isa, class Finish>
void multiply_windows(const PatchLines<T>& windows, const std::vector<Index>& taps, const GemmBlocks& blocks,
                      const T* w, T* y, Index stride, const Finish& finish) {
  const Index wide = windows.width();
  const auto by_neighbours = [&]<int Rows, int Vectors>(Tile<Rows, Vectors>) {
    constexpr Index columns = Vectors * lanes_of<T, Isa>;
    if (blocks.n % columns != 0 || wide % Rows != 0) return false;
    const auto runs = runs_of(taps.data(), 0, blocks.k);
    const TileStep next{.a = Rows * windows.step(), .c = Rows * stride, .i = Rows};
    for (Index i = 0; i < blocks.m; i += wide) {
      const NeighboursApart<T> left{windows.data() + windows.line(i / wide), windows.step(), runs.data()};
      for (Index j = 0; j < blocks.n; j += columns) {
        run_tiles<T, Isa, Rows, Vectors>(wide / Rows, next, blocks.k, left, w + j, blocks.n, Store::plain,
                                         y + i * stride + j, stride, &finish, i, j);
      }
    }
    return true;
  };
  if constexpr (Isa::bytes == 64) {
    if (by_neighbours(Tile<8, 2>()) || by_neighbours(Tile<16, 1>())) return;
  } else {
    if (by_neighbours(Tile<4, 2>())) return;
  }
  const auto begins = windows.windows(rows_in_table - 1);
  gemm_blocked<T, Isa>(blocks, WindowRows<T>{windows.data(), begins.data(), taps.data()},
                       MatrixColumns<T, Isa>{w, blocks.n, false}, y, stride, finish);
}

// y (positions,o) = finish(patches·w), w (taps,o), over `lines` lines of the grid; a row of y is `stride`
// long. done(begin, end) is called when those lines are there.
template <class T, class Isa, class Finish, class Done>
void multiply_lines(const Patches<T>& patches, Index lines, const T* w, Index o, const Finish& finish, T* y,
                    Index stride, const Done& done) {
  const PatchLayout<T> layout(patches);
  const auto taps = layout.taps(0);
  const Index some = layout.lines_at_once();
  parallel_for((lines + some - 1) / some, [&](Index block) {
    const Index begin = block * some, end = std::min(begin + some, lines), first = begin * patches.grid_w;
    PatchLines<T> windows(layout, some);
    windows.take(begin, end - begin);
    Finish own = finish;
    if constexpr (requires { own.residual; }) {
      if (own.residual) own.residual += first * own.row;
    }
    multiply_windows<T, Isa>(windows, taps, {end * patches.grid_w - first, o, patches.columns()}, w,
                             y + first * stride, stride, own);
    done(begin, end);
  });
}

// out (taps,o) = patches(x)ᵀ·dy over the lines [first, end) of the grid; a row of dy is `stride` long.
template <class T, class Isa>
void turned_weights(const Patches<T>& patches, Index first, Index end, const T* dy, Index stride, Index o,
                    T* out) {
  const PatchLayout<T> layout(patches);
  const auto taps = layout.taps(rows_in_table - 1);
  const Index some = layout.lines_at_once();
  PatchLines<T> windows(layout, some);
  for (Index line = first; line < end; line += some) {
    const Index count = std::min(some, end - line);
    windows.take(line, count);
    const GemmBlocks blocks{patches.columns(), o, count * patches.grid_w, 1, line == first ? 0.0 : 1.0};
    const MatrixColumns<T, Isa> gradient{.data = dy + (line - first) * patches.grid_w * stride,
                                         .stride = stride,
                                         .transposed = false,
                                         .after = (end - line - count) * patches.grid_w};
    const auto later = windows.pixels(line + count, std::min(some, end - line - count));
    const TapRows<T> rows{windows, taps.data(), later};
    const auto by_neighbours = [&]<class Tile>(Tile) {
      if (o != Tile::vectors * lanes_of<T, Isa> || layout.side_by_side() % Tile::rows != 0) return false;
      gemm_blocked<T, Isa>(blocks, NeighbourTaps<T, Tile>{rows}, gradient, out, o);
      return true;
    };
    if constexpr (Isa::bytes == 64) {
      if (by_neighbours(Tile<9, 1>()) || by_neighbours(Tile<8, 1>()) || by_neighbours(Tile<12, 2>())) continue;
    }
    gemm_blocked<T, Isa>(blocks, rows, gradient, out, o);
  }
}

// out (columns,rows) = the sum of `pieces` arrays (rows,columns), added in order.
template <class T, class Isa>
void add_transposed(Index pieces, Index rows, Index columns, T* partial, T* out) {
  constexpr Index high = 64, wide = lanes_of<T, Isa>;
  parallel_ranges((rows + high - 1) / high, std::max<Index>(1, elementwise_grain / columns / high),
                  [=](Index begin, Index end) {
                    for (Index i = begin * high; i < std::min(rows, end * high); i += high) {
                      const Index count = std::min(high, rows - i);
                      T* sum = partial + i * columns;
                      for (Index piece = 1; piece < pieces; ++piece) {
                        const T* more = sum + piece * rows * columns;
                        for (Index q = 0; q < count * columns; ++q) sum[q] += more[q];
                      }
                      CompiledFor<Isa>::run([&] {
                        for (Index j = 0; j < columns; j += wide) {
                          for (Index r = 0; r < count; ++r) __builtin_prefetch(sum + r * columns + j + wide);
                          for (Index r = j + wide; r < std::min(columns, j + 2 * wide); ++r) {
                            for (Index q = 0; q < count; q += wide)
                              __builtin_prefetch(out + r * rows + i + q, 1);
                          }
                          transpose_block<T, Isa>(sum + j, columns, count, std::min(wide, columns - j),
                                                  out + j * rows + i, rows);
                        }
                      });
                    }
                  });
}

}  // namespace detail

// With fewer rows the blocks of moments would be so small, for the sake of many threads, that a pass over y is as good.
inline constexpr Index fewest_rows_of_moments = 1536;

// Convolution as a product with the patches; a 1×1 window needs none, and its residual may be y itself.
template <class T, class Isa>
void conv2d_forward_gemm(const Conv2dGeometry& g, const T* x, std::type_identity_t<ConvWeights<T>> w,
                         const Epilogue<T>& finish, T* y) {
  const Index rows = g.n * g.oh * g.ow;
  for (Index group = 0; group < g.groups; ++group) {
    const Index first = group * g.group_out();
    const bool add = g.pointwise() && finish.residual == y;  // the residual is y so far
    const GemmBlocks blocks{.m = rows, .n = g.group_out(), .k = g.taps(), .beta = add ? 1.0 : 0.0};
    MatrixColumns<T, Isa> weights{w.data + first * g.taps(), g.taps(), true};
    const bool lines = !g.pointwise() && detail::by_lines(g.taps(), g.group_out());
    std::shared_ptr<const PackedColumns<T, Isa>> kept;
    if (w.forms && !lines) {
      using Packed = PackedColumns<T, Isa>;
      const Index n = g.group_out(), k = g.taps();
      const auto [columns, depth] = Packed::form(rows, n, k);
      kept = w.forms->template get<Packed>(weights.data, {n, k, columns, depth},
                                           [&] { return std::make_shared<const Packed>(weights, rows, n, k); });
      weights.packed = kept.get();
    }
    Epilogue<T> own{.relu = finish.relu, .row = g.o};
    if (finish.bias) own.bias = finish.bias + first;
    if (finish.residual && !add) own.residual = finish.residual + first;
    if (g.groups == 1 && !lines && rows >= fewest_rows_of_moments) own.moments = finish.moments;
    if (g.pointwise()) {
      gemm_blocked<T, Isa>(blocks, MatrixRows<T, Isa>{x, g.c}, weights, y, g.o, own);
    } else {
      const auto patches = detail::forward_patches(g, x, group);
      if (lines) {
        Scratch<T> turned(g.taps() * g.group_out());
        CompiledFor<Isa>::run([&] {
          transpose_block<T, Isa>(weights.data, g.taps(), g.group_out(), g.taps(), turned.data(),
                                  g.group_out());
        });
        detail::multiply_lines<T, Isa>(patches, g.n * g.oh, turned.data(), g.group_out(), own, y + first, g.o,
                                       [](Index, Index) {});
      } else {
        gemm_blocked<T, Isa>(blocks, PatchRows<T, Isa>{patches}, weights, y + first, g.o, own);
      }
    }
  }
}

// dx = dy·w, or +=, of a convolution with a 1×1 window.
template <class T, class Isa>
void conv2d_backward_data_pointwise(const Conv2dGeometry& g, const T* dy, const T* w, bool add, T* dx) {
  gemm_blocked<T, Isa>({.m = g.n * g.h * g.w, .n = g.c, .k = g.o, .beta = add ? 1.0 : 0.0}, MatrixRows<T, Isa>{dy, g.o},
                       MatrixColumns<T, Isa>{w, g.c, false}, dx, g.c);
}

// dx = the transposed convolution of dy. Input positions with equal remainder by the stride see the same
// taps; each such phase is an ordinary stride-1 convolution of dy, so nothing is multiplied by a stride's
// zeros.
template <class T, class Isa>
void conv2d_backward_data_gemm(const Conv2dGeometry& g, const T* dy, const T* w, T* dx) {
  const Index cg = g.group_in(), og = g.group_out();
  for (Index phase = 0; phase < g.stride_h * g.stride_w; ++phase) {
    const Index py = phase / g.stride_w, px = phase % g.stride_w;
    const Index grid_h = (g.h - py + g.stride_h - 1) / g.stride_h,
                grid_w = (g.w - px + g.stride_w - 1) / g.stride_w;
    if (grid_h <= 0 || grid_w <= 0) continue;
    const auto ys = detail::phase_taps(py, g.kh, g.stride_h, g.pad_h, g.dilation_h);
    const auto xs = detail::phase_taps(px, g.kw, g.stride_w, g.pad_w, g.dilation_w);
    const Index taps = static_cast<Index>(ys.taps.size() * xs.taps.size());
    const Index rows = g.n * grid_h * grid_w;
    const bool whole = g.stride_h == 1 && g.stride_w == 1;  // the phase is all of dx
    Scratch<T> part(whole || taps == 0 ? 1 : rows * g.c), turned(std::max<Index>(1, taps * og * cg));
    T* out = whole ? dx : part.data();
    if (whole && taps == 0) std::fill_n(dx, rows * g.c, T(0));
    // Lines [begin, end) of the phase, `count` channels from `first`, to where they belong.
    const auto spread = [&](Index begin, Index end, Index first, Index count) {
      for (Index r = begin; r < end && !whole; ++r) {
        T* line = dx + ((r / grid_h * g.h + py + r % grid_h * g.stride_h) * g.w + px) * g.c + first;
        const T* in = out + r * grid_w * g.c + first;
        for (Index q = 0; q < grid_w; ++q) {
          T* to = line + q * g.stride_w * g.c;
          taps == 0 ? std::fill_n(to, count, T(0)) : std::copy_n(in + q * g.c, count, to);
        }
      }
    };
    const bool by_lines = taps > 0 && detail::by_lines(taps * og, cg);
    for (Index group = 0; group < g.groups && taps > 0; ++group) {
      Index at = 0;  // turned (taps·og, cg): the weights as the right operand
      for (const Index ky : ys.taps) {
        for (const Index kx : xs.taps) {
          for (Index o = 0; o < og; ++o, ++at) {
            std::copy_n(w + (((group * og + o) * g.kh + ky) * g.kw + kx) * cg, cg, turned.data() + at * cg);
          }
        }
      }
      const Patches<T> patches{dy,     g.oh,   g.ow, g.o, og,         group * og,
                               grid_h, grid_w, 1,    1,   ys.offsets, xs.offsets};
      if (by_lines) {
        detail::multiply_lines<T, Isa>(patches, g.n * grid_h, turned.data(), cg, LeaveAsIs(),
                                       out + group * cg, g.c,
                                       [&](Index begin, Index end) { spread(begin, end, group * cg, cg); });
      } else {
        gemm_blocked<T, Isa>({rows, cg, taps * og}, PatchRows<T, Isa>{patches},
                             MatrixColumns<T, Isa>{turned.data(), cg, false}, out + group * cg, g.c);
      }
    }
    if (whole || by_lines) continue;
    parallel_ranges(g.n * grid_h, std::max<Index>(1, elementwise_grain / (grid_w * g.c)),
                    [&](Index begin, Index end) { spread(begin, end, 0, g.c); });
  }
}

// dw summed over fixed runs of output lines and then over the runs in order: as dyᵀ·patches(x), or turned, as
// patches(x)ᵀ·dy, where dy lies as the tile wants its right operand and patches need no packing. That the sum must
// then be transposed costs more than it saves for few positions. With a 1×1 window the narrower of x and dy is on
// the right; but where strips of the left one are copied, and all of the wider one is a block, it is on the left.
template <class T, class Isa>
void conv2d_backward_weights_gemm(const Conv2dGeometry& g, const T* x, const T* dy, T* dw) {
  const Index lines = g.n * g.oh, og = g.group_out(), taps = g.taps(), size = og * taps;
  const Index at_most = std::clamp<Index>((Index{1} << 22) / size, 1, std::clamp<Index>(lines, 1, 16));
  const Index pieces = fixed_pieces(lines * g.ow, 1024, at_most);
  const bool copied = Isa::bytes < 64 && std::min(og, taps) <= 96 && std::max(og, taps) <= detail::columns_of_block;
  constexpr Index repaid = 3;  // positions for each of the fewer channels, by 1×1 windows
  const bool turned = g.pointwise() ? (copied ? taps < og : taps > og) && lines * g.ow >= repaid * std::min(og, taps)
                                    : g.kh * g.kw > 1 && lines * g.ow >= 2 * og;
  Scratch<T> partial(pieces * size);
  for (Index group = 0; group < g.groups; ++group) {
    const auto patches = detail::forward_patches(g, x, group);
    parallel_for(pieces, [&](Index piece) {
      const Index first = lines * piece / pieces, end = lines * (piece + 1) / pieces, rows = (end - first) * g.ow;
      const T* pixels = x + first * g.ow * g.c;  // of a pointwise convolution
      const T* gradient = dy + first * g.ow * g.o + group * og;
      T* out = turned       ? partial.data() + piece * size
               : piece == 0 ? dw + group * size
                            : partial.data() + (piece - 1) * size;
      if (g.pointwise() && turned) {
        gemm_blocked<T, Isa>({taps, og, rows}, TransposedRows<T, Isa>{pixels, g.c},
                             MatrixColumns<T, Isa>{gradient, g.o, false}, out, og);
      } else if (g.pointwise()) {
        gemm_blocked<T, Isa>({og, taps, rows}, TransposedRows<T, Isa>{gradient, g.o},
                             MatrixColumns<T, Isa>{pixels, g.c, false}, out, taps);
      } else if (turned) {
        detail::turned_weights<T, Isa>(patches, first, end, gradient, g.o, og, out);
      } else {
        gemm_blocked<T, Isa>({og, taps, rows}, TransposedRows<T, Isa>{gradient, g.o},
                             PatchColumns<T, Isa>{patches, first * g.ow}, out, taps);
      }
    });
    if (turned) {
      detail::add_transposed<T, Isa>(pieces, taps, og, partial.data(), dw + group * size);
    } else {
      add_pieces(pieces - 1, size, partial.data(), dw + group * size);
    }
  }
}

// ---- the plain loops, which the above must agree with -----------------------------------------------------

// Calls visit(x position, w position, y position) for every product that makes up the convolution.
template <class Visit>
void conv2d_visit(const Conv2dGeometry& g, Visit&& visit) {
  for (Index n = 0; n < g.n; ++n) {
    for (Index oy = 0; oy < g.oh; ++oy) {
      for (Index ox = 0; ox < g.ow; ++ox) {
        for (Index o = 0; o < g.o; ++o) {
          for (Index ky = 0; ky < g.kh; ++ky) {
            for (Index kx = 0; kx < g.kw; ++kx) {
              const Index iy = oy * g.stride_h + ky * g.dilation_h - g.pad_h;
              const Index ix = ox * g.stride_w + kx * g.dilation_w - g.pad_w;
              if (iy < 0 || iy >= g.h || ix < 0 || ix >= g.w) continue;
              const Index first_c = o / g.group_out() * g.group_in();
              for (Index c = 0; c < g.group_in(); ++c) {
                visit(((n * g.h + iy) * g.w + ix) * g.c + first_c + c,
                      ((o * g.kh + ky) * g.kw + kx) * g.group_in() + c,
                      ((n * g.oh + oy) * g.ow + ox) * g.o + o);
              }
            }
          }
        }
      }
    }
  }
}

template <class T>
void conv2d_forward_reference(const Conv2dGeometry& g, const T* x, const T* w, const T* bias, T* y) {
  for (Index i = 0; i < g.n * g.oh * g.ow * g.o; ++i) y[i] = bias ? bias[i % g.o] : T(0);
  conv2d_visit(g, [=](Index at_x, Index at_w, Index at_y) { y[at_y] += x[at_x] * w[at_w]; });
}

template <class T>
void conv2d_backward_data_reference(const Conv2dGeometry& g, const T* dy, const T* w, T* dx) {
  std::fill_n(dx, g.n * g.h * g.w * g.c, T(0));
  conv2d_visit(g, [=](Index at_x, Index at_w, Index at_y) { dx[at_x] += dy[at_y] * w[at_w]; });
}

template <class T>
void conv2d_backward_weights_reference(const Conv2dGeometry& g, const T* x, const T* dy, T* dw) {
  std::fill_n(dw, g.o * g.taps(), T(0));
  conv2d_visit(g, [=](Index at_x, Index at_w, Index at_y) { dw[at_w] += x[at_x] * dy[at_y]; });
}

}  // namespace tenon::cpu
