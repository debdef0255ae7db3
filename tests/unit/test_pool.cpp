// Pooling and resampling against loops that follow the definitions.
#include <limits>

#include "close.hpp"
#include "tenon/autograd/pool.hpp"
#include "threads_scope.hpp"

using namespace tenon;
using testing::error_of;
using testing::error_text;

namespace {

struct Case {
  Shape x;
  Pool2dParameters p;
};

// The definition: take(value) for every pixel of the window of each output, then finish().
template <class Take, class Finish>
Tensor<double> windows(const Tensor<double>& x, const Pool2dParameters& p, const Take& take,
                       const Finish& finish) {
  const Index sh = p.stride.h ? p.stride.h : p.kernel.h, sw = p.stride.w ? p.stride.w : p.kernel.w;
  const Index oh = (x.size(1) + 2 * p.padding.h - p.kernel.h) / sh + 1;
  const Index ow = (x.size(2) + 2 * p.padding.w - p.kernel.w) / sw + 1;
  Tensor<double> y({x.size(0), oh, ow, x.size(3)});
  for (Index i = 0; i < y.numel(); ++i) {
    const Index c = i % x.size(3), ox = i / x.size(3) % ow, oy = i / x.size(3) / ow % oh,
                n = i / x.size(3) / ow / oh;
    double state = std::numeric_limits<double>::quiet_NaN();
    for (Index ky = 0; ky < p.kernel.h; ++ky) {
      for (Index kx = 0; kx < p.kernel.w; ++kx) {
        const Index iy = oy * sh + ky - p.padding.h, ix = ox * sw + kx - p.padding.w;
        if (iy >= 0 && iy < x.size(1) && ix >= 0 && ix < x.size(2)) state = take(state, x.at({n, iy, ix, c}));
      }
    }
    y.data()[i] = finish(state);
  }
  return y;
}

const std::vector<Case> cases{
    {{2, 6, 6, 3}, {.kernel = 2}},
    {{2, 7, 5, 3}, {.kernel = 3, .stride = 2, .padding = 1}},
    {{1, 9, 8, 2}, {.kernel = {2, 3}, .stride = {1, 2}, .padding = {1, 0}}},
    {{3, 4, 4, 5}, {.kernel = 4}},
    {{1, 5, 5, 17}, {.kernel = 3, .stride = 3}},
};

}  // namespace

TEST_CASE("max_pool2d and avg_pool2d: against the definition") {
  Rng rng(1);
  for (const auto& [shape, p] : cases) {
    const auto x = Tensor<double>::uniform(shape, rng, -2, -1);  // below zero: padding must not win
    const auto biggest = windows(
        x, p, [](double s, double v) { return s > v ? s : v; }, [](double s) { return s; });
    const double area = static_cast<double>(p.kernel.h * p.kernel.w);
    const auto mean = windows(
        x, p, [](double s, double v) { return (s == s ? s : 0) + v; }, [area](double s) { return s / area; });
    CHECK(error_of(max_pool2d(Var<double>(x), p).value(), biggest) == 0);
    CHECK(error_of(avg_pool2d(Var<double>(x), p).value(), mean) < 1e-15);
  }
}

TEST_CASE("max_pool2d: any number of channels, value and gradient, the same with one and with two threads") {
  Rng rng(3);
  const std::vector<Pool2dParameters> windows{{.kernel = 2},
                                              {.kernel = 3, .stride = 2, .padding = 1},
                                              {.kernel = {1, 2}, .stride = {2, 3}},
                                              {.kernel = 17, .stride = 1}};  // more taps than a byte counts
  for (const Index c : {1, 3, 6, 16, 17, 40}) {
    for (const auto& p : windows) {
      auto x = Tensor<float>::uniform({3, 19, 22, c}, rng, 0, 6);
      for (float& v : x.span()) v = std::floor(v);  // ties
      const auto run = [&](int threads) {
        const testing::ThreadScope scope(threads);
        Var<float> input(x, {.requires_grad = true});
        const auto y = max_pool2d(input, p);
        Rng other(4);
        const auto dy = Tensor<float>::uniform(y.shape(), other, -1, 1);
        y.backward(dy.clone());
        return std::vector{y.value(), input.grad(), dy};
      };
      const auto one = run(1), two = run(2);
      CHECK(testing::same_bits(one[0], two[0]));
      CHECK(testing::same_bits(one[1], two[1]));
      CHECK(testing::same_bits(one[0], max_pool2d(Var<float>(x), p).value()));  // nothing kept for a gradient

      // The definition: the first of the largest values of each window.
      const Index sh = p.stride.h ? p.stride.h : p.kernel.h, sw = p.stride.w ? p.stride.w : p.kernel.w;
      auto dx = Tensor<float>::zeros(x.shape());
      bool right = true;
      for (Index i = 0; i < one[0].numel(); ++i) {
        const Index k = i % c, ox = i / c % one[0].size(2), oy = i / c / one[0].size(2) % one[0].size(1);
        const Index n = i / c / one[0].size(2) / one[0].size(1);
        float* best = nullptr;
        float value = -1;
        for (Index iy = oy * sh - p.padding.h; iy < oy * sh - p.padding.h + p.kernel.h; ++iy) {
          for (Index ix = ox * sw - p.padding.w; ix < ox * sw - p.padding.w + p.kernel.w; ++ix) {
            if (iy < 0 || iy >= 19 || ix < 0 || ix >= 22 || !(x.at({n, iy, ix, k}) > value)) continue;
            value = x.at({n, iy, ix, k});
            best = &dx.at({n, iy, ix, k});
          }
        }
        right = right && value == one[0].data()[i];
        *best += one[2].data()[i];
      }
      CHECK(right);
      CHECK(error_of(one[1], dx) < 1e-6);
    }
  }
}

TEST_CASE("max_pool2d: ties take the first position, NaN wins") {
  Var<float> x(Tensor<float>::ones({1, 2, 2, 1}), {.requires_grad = true});
  sum(max_pool2d(x, {.kernel = 2})).backward();
  CHECK(x.grad().to_vector() == std::vector<float>{1, 0, 0, 0});
  for (Index at = 0; at < 4; ++at) {
    auto nan = Tensor<float>::ones({1, 2, 2, 1});
    nan.data()[at] = std::numeric_limits<float>::quiet_NaN();
    CHECK(std::isnan(max_pool2d(Var<float>(nan), {.kernel = 2}).item()));
    CHECK(std::isnan(max_pool2d(Var<float>(nan, {.requires_grad = true}), {.kernel = 2}).item()));
  }
}

TEST_CASE("adaptive_avg_pool2d: windows from floor to ceiling; global_avg_pool2d is the mean") {
  Rng rng(2);
  const auto x = Tensor<double>::uniform({2, 7, 5, 3}, rng);
  for (const Size2d out : {Size2d(1), Size2d(3, 2), Size2d(7, 5), Size2d(9, 11)}) {
    const auto y = adaptive_avg_pool2d(Var<double>(x), out).value();
    Tensor<double> expected({2, out.h, out.w, 3});
    for (Index n = 0; n < 2; ++n) {
      for (Index oy = 0; oy < out.h; ++oy) {
        for (Index ox = 0; ox < out.w; ++ox) {
          for (Index c = 0; c < 3; ++c) {
            double total = 0, count = 0;
            for (Index iy = oy * 7 / out.h; iy * out.h < (oy + 1) * 7; ++iy) {
              for (Index ix = ox * 5 / out.w; ix * out.w < (ox + 1) * 5; ++ix, ++count)
                total += x.at({n, iy, ix, c});
            }
            expected.at({n, oy, ox, c}) = total / count;
          }
        }
      }
    }
    CHECK(error_of(y, expected) < 1e-15);
  }
  CHECK(error_of(global_avg_pool2d(Var<double>(x)).value(),
                 adaptive_avg_pool2d(Var<double>(x), 1).value().reshape({2, 3})) < 1e-15);
}

TEST_CASE("upsample: nearest repeats, bilinear reproduces a ramp") {
  const Tensor<double> x({1, 2, 2, 1}, {1, 2, 3, 4});
  CHECK(upsample_nearest(Var<double>(x), {3, 4}).value().to_vector() ==
        std::vector<double>{1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4});
  const auto corners = upsample_bilinear(Var<double>(x), {3, 3}, {.align_corners = true}).value();
  CHECK(corners.to_vector() == std::vector<double>{1, 1.5, 2, 2, 2.5, 3, 3, 3.5, 4});
  // Pixel centres: doubling puts the samples a quarter of a pixel off the old centres, and repeats the edge.
  const auto centres = upsample_bilinear(Var<double>(x.reshape({1, 1, 4, 1})), {1, 8}).value();
  CHECK(centres.to_vector() == std::vector<double>{1, 1.25, 1.75, 2.25, 2.75, 3.25, 3.75, 4});
  CHECK(error_of(upsample_bilinear(Var<double>(x), {2, 2}).value(), x) == 0);
}

TEST_CASE("pooling: what is refused") {
  const auto pool = [](const Shape& x, const Pool2dParameters& p) {
    return error_text<Error>([&] { max_pool2d(Var<float>(Tensor<float>::zeros(x)), p); });
  };
  CHECK(pool({4, 4, 3}, {.kernel = 2}) == "max_pool2d: x (4,4,3), expected (N,H,W,C) with pixels");
  CHECK(pool({1, 0, 4, 3}, {.kernel = 2, .padding = 1}) ==
        "max_pool2d: x (1,0,4,3), expected (N,H,W,C) with pixels");
  CHECK(pool({1, 4, 4, 3}, {.kernel = 5}) ==
        "max_pool2d: kernel (5,5) is larger than the padded picture of x (1,4,4,3)");
  CHECK(pool({1, 4, 4, 3}, {.kernel = 2, .padding = 2}) ==
        "max_pool2d: padding (2,2), expected at most half the kernel (2,2)");
  CHECK(pool({1, 4, 4, 3}, {.kernel = {0, 2}}) ==
        "max_pool2d: kernel (0,2) and stride (0,2), expected at least 1");
  CHECK(error_text<ValueError>([] {
          upsample_nearest(Var<float>(Tensor<float>::zeros({1, 2, 2, 1})), {0, 2});
        }) == "upsample_nearest: output (0,2), expected at least 1");
  CHECK_NOTHROW(max_pool2d(Var<float>(Tensor<float>::zeros({0, 4, 4, 3})), {.kernel = 2}));
}
