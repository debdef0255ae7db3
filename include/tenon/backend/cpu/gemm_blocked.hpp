// The loops of matrix multiplication after Goto & van de Geijn 2008, "Anatomy of high-performance matrix
// multiplication": a block of B is copied (packed) into the order in which the register tile reads it, small
// enough for the second-level cache; strips of A, a few rows each, pass by it in the first. Either is read where
// it lies if that serves.
//
// The operands come through small types, so the same loops serve matrices, transposes and the patches of a
// convolution. Every element of C is summed in the same order whatever the threads or the blocking of
// rows and columns: results do not depend on the thread count.
#pragma once

#include "tenon/backend/cpu/gemm_panels.hpp"
#include "tenon/backend/cpu/run_tiles.hpp"
#include "tenon/backend/cpu/scratch.hpp"
#include "tenon/backend/cpu/simd.hpp"
#include "tenon/core/threads.hpp"

namespace tenon::cpu {

struct GemmBlocks {
  Index m, n, k;
  double alpha = 1, beta = 0;
};

namespace detail {

template <class T, class Isa, class Tile, class Rows, class Columns, class Finish>
struct BlockedProduct {
  using Packed = Panels<T, Isa, Tile>;
  static constexpr int rows = Tile::rows, vectors = Tile::vectors;
  static constexpr Index lanes = lanes_of<T, Isa>, columns = Packed::columns;
  static constexpr int few = few_rows(rows);  // of the tile for a last strip that lacks some
  // The most terms of a block. Where every term is in a cache line of its own, a strip of A would fill the first-level
  // cache; a panel of a narrow block is read beside it from there, and beside three rows it is twice as wide.
  static constexpr bool scattered = requires { Rows::scattered; };
  static constexpr bool narrow = requires { Rows::widest; };
  static constexpr Index deepest = gemm_depth / (scattered && rows == 3 ? 4 : scattered || narrow ? 2 : 1);
  static constexpr bool in_place = [] {
    if constexpr (requires { Rows::in_place; }) return Rows::in_place;
    return false;
  }();

  const GemmBlocks& g;
  const Rows& a;
  const Columns& b;
  T* c;
  Index ldc;
  const Finish& finish;

  void operator()() const {
    if constexpr (gathers) {
      if (finish.moments) finish.moments->start(g.m, together() * rows);
    }
    const Pieces cut = pieces();
    const Index strips = (g.m + rows - 1) / rows, units = (strips + together() - 1) / together();
    parallel_for(cut.across * cut.parts, [&](Index piece) {
      const Index part = piece / cut.across, across = piece % cut.across;
      const Index from = Packed::count(g.n) * across / cut.across * columns,
                  to = std::min(g.n, Packed::count(g.n) * (across + 1) / cut.across * columns);
      const Index begin = part * units / cut.parts * together(),
                  end = std::min(strips, (part + 1) * units / cut.parts * together());
      for (Index j0 = from; j0 < to && begin < end; j0 += widest()) stripe(j0, to, begin, end);
    });
  }

 private:
  // How threads share C: in `across` stripes, each in `parts` parts of its rows. In one piece where they share the
  // strips of each block instead. Rows of their own are better than columns, whose lines of C are neighbours, unless
  // there are few, or B would be packed too often.
  struct Pieces {
    Index across, parts = 1;
  };
  Pieces pieces() const {
    const Index threads = g.m * g.n * g.k > 300000 ? available_threads() : 1;
    const bool copy = (scattered && copies()) || packs();
    const auto stripes = [&](Index width) { return (g.n + width - 1) / width; };
    const auto shared = [&](Index count) { return (count + threads - 1) / threads * threads; };
    const auto parts = [&](Index rows_each) { return std::clamp<Index>(rows_each / 1536, 1, 4); };
    if (threads == 1) return {1};
    if (copy && g.n >= threads * widest()) return {shared(stripes(widest())), parts(2 * g.m)};
    if (g.m < (copy ? 256 : 160) * threads && g.n >= 4 * threads * columns)
      return {std::max(4 * threads, shared(stripes(std::max(widest(), columns_of_block))))};
    if (!copy) {  // no thread waits for another's terms
      const Index across = stripes(widest());
      return {across, std::clamp<Index>(g.m / (2 * strips_copied * rows), 1, std::max(threads, 16 * threads / across))};
    }
    // Each part packs its columns of B: it should have more rows than that costs.
    Index across = 1;
    while (g.m * across < 256 * threads && g.n >= 8 * across * columns) across *= 2;
    const Index down = (threads + across - 1) / across;
    return {across, down * parts(g.m / down)};
  }

  // The columns from j0 on, of those before `to`, that fill a block, of the strips [begin, end). Each thread packs what
  // it needs: lines that two cores write and read in turn cost more than packing them twice.
  void stripe(Index j0, Index to, Index begin, Index end) const {
    const Index width = std::min(widest(), to - j0);
    const bool stored = columns_lie(), ready = columns_ready(), pack = packs();
    const Index most = even_depth(g.m, g.k, small() ? deepest / 2 : deepest);
    const Index panels = Packed::count(width), stride = Packed::stride(most);
    Scratch<T> packed(pack ? panels * stride : 0);
    for (Index p0 = 0; p0 < std::max<Index>(g.k, 1); p0 += most) {
      const Index depth = std::min(most, g.k - p0);
      if (pack) {
        CompiledFor<Isa>::run([&] {
          T* out = packed.data();
          Packed::pack(b, j0, j0 + width, p0, depth, out, stride);
          for (Index i = 0; i < panels && g.alpha != 1; ++i, out += stride) {
            for (Index q = 0; q < columns * depth; ++q) out[q] *= static_cast<T>(g.alpha);
          }
        });
      }
      const T* block = stored ? nullptr : packed.data();
      if constexpr (packable) {
        if (ready) block = b.packed->block(p0, j0 / columns);
      }
      const Store into = p0 > 0 || g.beta != 0 ? Store::add : g.k <= most && large() ? Store::stream : Store::plain;
      // As many strips at a time as stay in the second-level cache beside B while panels come by. Where B lies in place
      // its far rows are copied again each time.
      const Index strips = end - begin, work = rows * width * depth,
                  stay = std::max<Index>(4, 49152 / (rows * depth + 1));
      const Index threads = available_threads(),
                  share = threads == 1 && !block ? strips : strips / ((block ? 32 : 4) * threads);
      const Index least =
          strips * work < 200000 ? strips : std::max<Index>(400000 / (work + 1) + 1, std::min(stay, share));
      // As many for each thread, of as many strips: those that must go together, or are copied together, in one.
      const Index unit = together() * (copies() ? std::max<Index>(1, strips_copied / together()) : 1);
      const Index units = (strips + unit - 1) / unit, each = strips / (threads * least),
                  ranges = std::min(units, each > 0 ? each * threads : (strips + least - 1) / least);
      parallel_for(ranges, [&](Index range) {
        const Index first = units * range / ranges * unit, last = std::min(strips, units * (range + 1) / ranges * unit);
        CompiledFor<Isa>::run([&] {
          multiply(begin + first, begin + last, {j0, width, p0, depth, block, stride, to, into});
          if (into == Store::stream) finish_stream();
        });
      });
    }
  }

  // Strips that one thread must take, in order: a block of the moments.
  static constexpr bool gathers = requires(const Finish& some) { some.moments; };
  Index together() const {
    if constexpr (gathers) return finish.moments ? std::clamp<Index>(g.m / rows / 64, 24 / rows, 96 / rows) : 1;
    return 1;
  }

  // Whether B has been packed before, for this tile and these blocks.
  static constexpr bool packable = requires(const Columns& some) { some.packed; } && !scattered &&
                                   !requires { Rows::most_rows; };
  bool columns_ready() const {
    if constexpr (packable) return b.packed && g.alpha == 1;
    return false;
  }

  bool packs() const { return !columns_ready() && !columns_lie(); }

  // Whether B is read where it lies: as if packed, or where few rows would not repay the copy, which the first strip
  // makes of a wide panel in passing. A panel of one line takes little of each row, and if those are far apart its
  // lines share few sets of the caches; so do those of strips of A that are read where they lie, term by term.
  bool columns_lie() const {
    if constexpr (requires { b.row(0); }) {
      if (columns_ready() || !b.row(0) || g.alpha != 1 || g.n % lanes != 0) return false;
      if (g.n <= columns && b.stride == g.n) return true;
      const bool far = b.stride > 16 * columns || rows_lie();
      return far && (columns <= line || scattered) ? g.m <= 128 : g.m <= (columns >= 4 * line ? 800 : 400);
    }
    return false;
  }

  // Whether strips of A are read term by term where they lie.
  bool rows_lie() const {
    if constexpr (scattered) return !copies();
    return false;
  }

  // A block of B: `width` columns from j0 on, `depth` terms from p0 on; in panels that are packed, `stride`
  // apart, or (null) lie in B. After all terms the columns up to `to` follow. How C takes the products.
  struct Block {
    Index j0, width, p0, depth;
    const T* packed;
    Index stride, to;
    Store into;
  };

  // Where a panel is, and how far apart its rows are.
  struct Panel {
    const T* from;
    Index step;
  };

  struct StripRange {
    Index begin, end;
  };

  // Strips [begin, end) of C, of `rows` rows each, times all panels. Either a strip stays in the first-level
  // cache while the panels come by, or a panel does, if strips cost nothing to fetch again and several come by: one
  // that fits, or whose rows lie far apart in B, so that the first strip copies it.
  [[gnu::always_inline]] void multiply(Index begin, Index end, const Block& block) const {
    const Index depth = block.depth, width = block.width;
    const auto reader = a.reader(block.p0, depth);
    alignas(64) T room[rows * gemm_depth];
    const auto strip_at = [&](Index strip, bool ask) __attribute__((always_inline)) {
      const Index i0 = strip * rows;
      return reader.template strip<rows>(i0, std::min<Index>(rows, g.m - i0), ask && i0 + 2 * rows <= g.m, room);
    };
    const auto low_strip_at = [&](Index strip) __attribute__((always_inline)) {
      return reader.template strip<few>(first_row(strip), rows_of(strip), false, room);
    };
    if constexpr (copyable) {
      if (copies()) return multiply_copies(reader, begin, end, block);
    }
    const bool fits = depth * columns * static_cast<Index>(sizeof(T)) <= 32768,
               far = !scattered && !block.packed && panel(block, 0).step > 2 * columns;
    if (in_place && end - begin > 3 && (fits || far)) {
      Ahead<T> next = ahead(reader, block, {begin, end}, {begin, end});
      Scratch<T> copy(columns * depth);
      for (Index j = 0; j < width; j += columns) {
        Panel right = panel(block, j);
        Index strip = begin;
        if constexpr (in_place) {
          if (reader.template lies<rows>())
            strip = down(strip_at(begin, j == 0), reader.apart(rows), block, begin, end, j, right, copy.data(), next);
        }
        for (; strip < end; ++strip) {
          if (rows_of(strip) <= few) {
            cell<few>(low_strip_at(strip), right, block, strip, j);
          } else {
            cell<rows>(strip_at(strip, j == 0), right, block, strip, j);
          }
        }
      }
    } else {
      Ahead<T> next;
      if (after() > 0 || (scattered && in_place)) next = ahead(reader, block, {begin, end}, {begin, end});
      for (Index strip = begin; strip < end; ++strip) {
        if (rows_of(strip) <= few) {
          const auto left = low_strip_at(strip);
          for (Index j = 0; j < block.width; j += columns) cell<few>(left, panel(block, j), block, strip, j, &next);
        } else {
          across(strip_at(strip, true), block, strip, next);
        }
      }
    }
  }

  // The same where some strips are copied, for a panel in the first-level cache to meet: together, if terms lie in
  // lines of their own, else one by one, each before it meets the first panel.
  template <class Reader>
  [[gnu::always_inline]] void multiply_copies(const Reader& reader, Index begin, Index end,
                                              const Block& block) const {
    const Index apart = rows * ((block.depth + 7) / 8 * 8) + 16;  // not a multiple of 4 KB
    Scratch<T> copied(strips_copied * apart), copy(columns * block.depth);
    const Index turns = (end - begin + strips_copied - 1) / strips_copied;  // with as many strips each
    for (Index first = begin, last = begin, turn = 1; first < end; first = last, ++turn) {
      last = begin + (end - begin) * turn / turns;
      const auto place = [&](Index strip) { return copied.data() + (strip - first) * apart; };
      const auto one = [&](const auto& left, Panel right, Index strip, Index j) __attribute__((always_inline)) {
        if (rows_of(strip) <= few) {
          cell<few>(left, right, block, strip, j);
        } else {
          cell<rows>(left, right, block, strip, j);
        }
      };
      Index j = 0;
      if constexpr (scattered) {
        reader.template copy<rows>(first * rows, std::min(last * rows, g.m) - first * rows, copied.data(), apart);
      } else {
        for (Index strip = first; strip < last; ++strip) {
          reader.template copy<rows>(strip * rows, rows_of(strip), place(strip));
          RowsInEights<T, rows> left{place(strip)};
          if (strip + 1 < end && (strip + 2) * rows <= g.m) left.next = reader.rows_at((strip + 1) * rows);
          one(left, panel(block, 0), strip, 0);
        }
        j = columns;
      }
      Ahead<T> next = ahead(reader, block, {first, last}, {begin, end});
      const auto left_at = [&](Index strip) __attribute__((always_inline)) {
        if constexpr (scattered)
          return reader.template copied<rows>(place(strip));
        else
          return RowsInEights<T, rows>{place(strip)};
      };
      for (; j < block.width; j += columns) {
        Panel right = panel(block, j);
        Index strip = down(left_at(first), apart, block, first, last, j, right, copy.data(), next);
        for (; strip < last; ++strip) one(left_at(strip), right, strip, j);
      }
    }
  }

  // A strip times all panels.
  template <class Left>
  [[gnu::always_inline]] void across(const Left& left, const Block& block, Index strip, Ahead<T>& next) const {
    const Index whole = strip < whole_strips() ? block.width / columns : 0;
    const TileStep right{0, panel(block, columns).from - panel(block, 0).from, columns, 0, columns};
    Index j = 0;
    if (whole > 1 && whole_tiles(left, panel(block, 0), right, whole, block, strip, 0, next)) j = whole * columns;
    for (; j < block.width; j += columns) cell<rows>(left, panel(block, j), block, strip, j, &next);
  }

  // The panel from column j on times the strips from `strip` to `last` that are whole, `apart` values from one to the
  // next; the first that is left. Where the rows of B are far apart the first strip copies them, and `right` is the
  // copy: their lines share few sets of the first-level cache. Beside strips that lie in A panels fill it, and nothing
  // may be lost; a tile in one piece reads nothing else.
  template <class Left>
  [[gnu::always_inline]] Index down(Left left, Index apart, const Block& block, Index strip, Index last, Index j,
                                    Panel& right, T* copy, Ahead<T>& next) const {
    const Index whole = block.width - j >= columns ? std::min(last, whole_strips()) : strip;
    const TileStep by{apart, 0, rows * ldc, rows, 0};
    constexpr bool few_columns = TermsOf<Left, rows>::together;  // else strips are copied
    constexpr int near = tile_in_eights<T, Isa, rows, vectors, Left> ? 1 : TermsOf<Left, rows>::apart ? 2 : 16;
    if constexpr (!few_columns && requires { b.row(0); }) {
      if (whole - strip > 3 && right.step > near * columns &&
          whole_tiles(Copying<T, Left>{left, copy}, right, by, 1, block, strip, j, next)) {
        right = {copy, columns};
        left.move(apart);
        ++strip;
      }
    }
    const bool done = whole - strip > 1 && whole_tiles(left, right, by, whole - strip, block, strip, j, next);
    return done ? whole : strip;
  }

  // What is read after the strips `now` of A, of `all`, have met a block: the strips after them, or the first ones of
  // the next terms; and while all do so, the next terms of B. Only where they are read once, and A not where each term
  // lies in a page of its own: finding the pages costs what asking saves.
  template <class Reader>
  [[gnu::always_inline]] Ahead<T> ahead([[maybe_unused]] const Reader& reader, const Block& block, StripRange now,
                                        StripRange all) const {
    using Lines = typename Ahead<T>::Rows;
    const Index rest = g.k - block.p0 - block.depth, deeper = std::min(block.depth, rest);  // terms of the next block
    Lines of_a, of_b;
    if constexpr (scattered && in_place) {
      if (g.n > widest() || (copies() ? reader.stride > page / 2 : !small() && !two_fit(block))) return {};
      const bool more = now.end < all.end;
      const Index begin = more ? now.end : all.begin,
                  end = copies() ? std::min(all.end, begin + strips_copied) : all.end;
      of_a = {reader.data + (more ? 0 : block.depth * reader.stride) + begin * rows, reader.stride,
              std::min(g.m, end * rows) - begin * rows, more ? block.depth : deeper};
    } else if (block.packed) {
      return {};
    } else if constexpr (requires { a.later; }) {
      const auto share = [&](Index terms) { return a.later.width * terms / std::max<Index>(g.k, 1); };
      const Index from = share(block.p0), width = share(block.p0 + block.depth) - from;
      of_a = {a.later.data + from, width, width, a.later.count};
    }
    if constexpr (requires { b.row(0); }) {
      const bool aside = rest + after() == 0;
      const Index p0 = aside ? 0 : block.p0 + block.depth, j0 = block.j0 + (aside ? block.width : 0);
      const Index depth = std::min(block.depth, g.k + after() - p0);
      const auto term = [&](Index strip) { return depth * (strip - all.begin) / (all.end - all.begin); };
      const Index first = term(now.begin);
      if (b.row(0) && !columns_ready() && j0 < block.to)
        of_b = {b.row(p0 + first) + j0, b.stride, std::min(block.width, block.to - j0), term(now.end) - first};
    }
    Index runs = block.depth / row_runs;
    if constexpr (requires { reader.runs(); }) runs = reader.runs();
    return {of_a, of_b, Packed::count(block.width) * (std::min(now.end, whole_strips()) - now.begin) * runs};
  }
  Index after() const {
    if constexpr (requires { b.after; }) return b.after;
    return 0;
  }
  static constexpr Index page = 4096 / static_cast<Index>(sizeof(T));  // values

  // `count` whole tiles from strip and column on, if they can be done in one go. If there is only one, cell() leaves
  // it more registers.
  template <class Left>
  [[gnu::always_inline]] bool whole_tiles(const Left& left, Panel right, const TileStep& by, Index count,
                                          const Block& block, Index strip, Index j, Ahead<T>& next) const {
    const bool first = block.p0 == 0, last = block.p0 + block.depth >= g.k;
    if (first && g.beta != 0 && g.beta != 1) return false;
    j += block.j0;
    run_tiles<T, Isa, rows, vectors>(count, by, block.depth, left, right.from, right.step, block.into,
                                     c + strip * rows * ldc + j, ldc, last ? &finish : nullptr, strip * rows, j, &next);
    return true;
  }

  // Whether C, with a residual that is read beside it, is so large that it goes past the caches if it is written once:
  // in tiles that are whole lines.
  bool large() const {
    Index halves = 1;
    if constexpr (requires { finish.residual; }) halves += finish.residual != nullptr;
    return g.n % columns == 0 && ldc % line == 0 && reinterpret_cast<std::uintptr_t>(c) % 64 == 0 &&
           streams(c, g.m * g.n * halves / 2);
  }
  static constexpr Index line = values_of_line<T>;

  // Where the panel from column j of the block on is, and how far apart its rows are.
  [[gnu::always_inline]] Panel panel(const Block& block, Index j) const {
    if constexpr (requires { b.row(0); }) {
      if (!block.packed) return {b.row(block.p0) + block.j0 + j, b.stride};
    }
    return {block.packed + j / columns * block.stride, columns};
  }

  // If few rows are enough for each of the last two strips, they have no more.
  bool halves() const {
    if constexpr (few == rows) return false;
    if constexpr (gathers) {
      if (finish.moments) return false;
    }
    return g.m > rows && (g.m - 1) % rows + 1 + rows <= 2 * few && !copies();
  }
  Index whole_strips() const { return g.m / rows - (halves() ? 1 : 0); }
  Index first_row(Index strip) const { return strip * rows - (halves() && strip > whole_strips() ? rows - few : 0); }
  Index rows_of(Index strip) const {
    return std::min<Index>(halves() && strip == whole_strips() ? few : rows, g.m - first_row(strip));
  }

  // Whether strips of A are copied: where they can be, and meet panels enough to repay it. One whose rows lie one after
  // the other is, only for the tile that is in one piece, which wants B packed.
  static constexpr bool copyable = [] {
    if constexpr (requires { Rows::copies; }) return Rows::copies;
    return false;
  }();
  bool copies() const {
    if constexpr (copyable) return g.n >= a.fewest_columns() && (scattered || !columns_lie());
    return false;
  }
  static constexpr Index strips_copied = 96 / rows;

  // The most columns of a block. For each one strips are read, or copied, again, and pieces of C are written.
  Index widest() const {
    if constexpr (narrow) return Rows::widest;
    return !scattered && (copies() || Isa::bytes == 64) && g.k <= gemm_depth / 2 ? 2 * columns_of_block
                                                                                 : columns_of_block;
  }

  // Whether A has so few rows, read where they lie, that two blocks of its terms fit into the second-level cache.
  bool small() const { return scattered && in_place && !copies() && g.m <= 96; }

  // Whether two blocks of terms of A and B, where they lie, fit there beside C: in 1 MB, as processors with wide
  // registers have.
  bool two_fit(const Block& block) const {
    const Index values = 2 * (g.m + block.width) * block.depth + g.m * block.width;
    return !copyable && !block.packed && values * static_cast<Index>(sizeof(T)) <= 800000;
  }

  // One strip of at most `High` rows times one panel: all of the block's columns from j on that this holds.
  template <int High, class Left>
  [[gnu::always_inline]] void cell(const Left& left, Panel right, const Block& block, Index strip, Index j,
                                   Ahead<T>* next = nullptr) const {
    const Index depth = block.depth, wide = std::min(columns, block.width - j);
    const bool first = block.p0 == 0, last = block.p0 + depth >= g.k;
    const Index i0 = first_row(strip), count = rows_of(strip), filled = (wide + lanes - 1) / lanes;
    j += block.j0;
    T* out = c + i0 * ldc + j;
    if (first && g.beta != 0 && g.beta != 1) scale(count, wide, out);
    if (count == High && filled * lanes == wide) {
      return tile<High, vectors>(filled, depth, left, right.from, right.step, block.into, out, ldc,
                                 last ? &finish : nullptr, i0, j, next);
    }
    alignas(64) T part[High * columns];
    tile<High, vectors>(filled, depth, left, right.from, right.step, Store::plain, part, columns, nullptr, 0, 0, next);
    for (Index r = 0; r < count; ++r) {
      T* to = out + r * ldc;
      for (Index q = 0; q < wide; ++q)
        to[q] = block.into == Store::add ? to[q] + part[r * columns + q] : part[r * columns + q];
    }
    for (Index r = 0; r < count && last; ++r) finish(i0 + r, j, wide, out + r * ldc);
  }

  [[gnu::always_inline]] void scale(Index count, Index width, T* out) const {
    for (Index r = 0; r < count; ++r) {
      for (Index q = 0; q < width; ++q) out[r * ldc + q] *= static_cast<T>(g.beta);
    }
  }

  // The tile of `High` rows with `wanted` ≤ Most registers of columns.
  template <int High, int Most, class Left>
  static void tile(Index wanted, Index depth, const Left& left, const T* panel, Index step, Store into, T* out,
                   Index out_stride, const Finish* end, Index i, Index j, Ahead<T>* next) {
    if constexpr (Most > 1) {
      if (wanted < Most)
        return tile<High, Most - 1>(wanted, depth, left, panel, step, into, out, out_stride, end, i, j, next);
    }
    run_tile<T, Isa, High, Most>(depth, left, panel, step, into, out, out_stride, end, i, j, next);
  }
};

}  // namespace detail

// c (m,n) = alpha·A·B + beta·c with row stride ldc, then finish, an Epilogue, for each tile or piece of a
// row.
//
// A is read by a.reader(start, depth), whose strip<rows>(first, count, more, room) are `count` rows from
// `first` as the tile reads them: in place, or copied to `room` with anything in the rows that lack. `more`
// says that as many again come after them. Where there is Rows::scattered, each term of a strip lies in a cache
// line of its own; where there is Rows::in_place, strips are read where they lie, all the same how often. Where there
// is Rows::copies, strips may be copied if B has a.fewest_columns(): scattered ones some together by copy<rows>(first,
// count, out, apart), others one by one by copy<rows>(first, count, out) as RowsInEights, whose next rows are
// rows_at(first). Rows::tile is the tile if it is given, Rows::widest the columns of a block. Where
// there is a.later, it is read after all of A.
//
// b(range, tile, out, stride) packs panels of `tile` columns, a std::integral_constant, `stride` apart, as
// out[p·tile + j]; what a last panel lacks is zero before. Where there are b.row(p) and b.stride, B may be
// read in place: row p lies at b.row(p), if that is not null, and b.after rows follow that are read next. Where there
// is b.packed and it is not null, it is all of B as PackedColumns.
template <class T, class Isa, class Rows, class Columns, class Finish = LeaveAsIs>
void gemm_blocked(const GemmBlocks& g, const Rows& a, const Columns& b, T* c, Index ldc,
                  const Finish& finish = {}) {
  detail::with_gemm_tile<T, Isa, Rows>(g.m, g.n, g.k, [&]<class Tile>(Tile) {
    detail::BlockedProduct<T, Isa, Tile, Rows, Columns, Finish>{g, a, b, c, ldc, finish}();
  });
}

}  // namespace tenon::cpu
