// SIFT step by step on synthetic pictures, against reference key points and on picture pairs with known maps.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <numbers>
#include <string>

#include "tenon/features/homography.hpp"
#include "tenon/features/match.hpp"
#include "tenon/features/sift/sift.hpp"
#include "tenon/image/decode.hpp"
#include "files.hpp"
#include "unit/close.hpp"
#include "unit/threads_scope.hpp"

using namespace tenon;
using tenon::testing::contains;
using tenon::testing::error_text;
using tenon::testing::same_bits;

namespace {

Tensor<float> texture(Index height, Index width, std::uint64_t seed) {
  Rng rng(seed);
  auto x = image::gaussian_blur(Tensor<float>::uniform({height, width}, rng), {.sigma = 1.5});
  for (float& v : x.span()) v = 4 * (v - 0.5f) + 0.5f;
  return x;
}

Tensor<float> blob(Index size, double x, double y, double sigma) {
  Tensor<float> picture({size, size});
  for (Index i = 0; i < size; ++i) {
    for (Index j = 0; j < size; ++j) {
      const double r = std::pow(static_cast<double>(j) - x, 2) + std::pow(static_cast<double>(i) - y, 2);
      picture.at({i, j}) = static_cast<float>(std::exp(-r / (2 * sigma * sigma)));
    }
  }
  return picture;
}

Tensor<float> read_gray(const std::filesystem::path& path) {
  const auto picture = image::read(path, {.channels = 1});
  Tensor<float> gray({picture.size(0), picture.size(1)});
  for (Index i = 0; i < gray.numel(); ++i) gray.data()[i] = static_cast<float>(picture.data()[i]) / 255.0f;
  return gray;
}

double angle_between(double a, double b) { return std::abs(std::remainder(a - b, 2 * std::numbers::pi)); }

double cosine(const float* a, const float* b) {
  double ab = 0, aa = 0, bb = 0;
  for (int i = 0; i < 128; ++i) {
    const double u = static_cast<double>(a[i]), v = static_cast<double>(b[i]);
    ab += u * v;
    aa += u * u;
    bb += v * v;
  }
  return ab / std::sqrt(aa * bb);
}

}  // namespace

TEST_CASE("scale space: octaves halve, levels have the blur they should, nothing shifts") {
  // A blurred point stays a Gaussian; its second moment tells the blur, its mean the place.
  Tensor<float> point = Tensor<float>::zeros({64, 96});
  point.at({30, 40}) = 1;
  const auto space = build_scale_space(point);
  REQUIRE(space.octaves.size() >= 3);
  CHECK(space.octaves[0].height == 128);
  CHECK(space.octaves[0].width == 192);
  CHECK(space.octaves[1].height == 64);
  CHECK(space.octaves[2].step == 2);
  for (std::size_t o = 0; o < 2; ++o) {
    const Octave& octave = space.octaves[o];
    REQUIRE(octave.levels() == 6);
    for (int s = 0; s < 6; ++s) {
      double sum = 0, x = 0, y = 0, xx = 0;
      for (Index i = 0; i < octave.height; ++i) {
        for (Index j = 0; j < octave.width; ++j) {
          const double v = static_cast<double>(octave.level(s)[i * octave.stride() + j]);
          sum += v;
          x += v * static_cast<double>(j) * octave.step;
          y += v * static_cast<double>(i) * octave.step;
          xx += v * std::pow(static_cast<double>(j) * octave.step, 2);
        }
      }
      x /= sum;
      CHECK(!(std::abs(x - 40) > 1e-3));
      CHECK(!(std::abs(y / sum - 30) > 1e-3));
      // The camera is taken to have blurred by 0.5, which the point was not; doubling adds 1/8 of a square
      // pixel.
      const double expected = std::pow(1.6 * octave.step * std::exp2(s / 3.0), 2) - 0.25 + 0.125;
      CHECK(!(std::abs((xx / sum - x * x) / expected - 1) > 0.01));
    }
  }
}

TEST_CASE("a blob is found at its place and scale, below a pixel") {
  for (const double sigma : {1.5, 3.0, 6.3}) {
    const double x = 40.3, y = 37.8;
    const auto space = build_scale_space(blob(80, x, y, sigma));
    const auto extrema = find_extrema(space);
    const auto refined = refine_extrema(space, extrema);
    REQUIRE(refined.size() >= 1);
    const auto best = std::max_element(refined.begin(), refined.end(), [](const auto& a, const auto& b) {
      return a.keypoint.response < b.keypoint.response;
    });
    CHECK(!(std::abs(static_cast<double>(best->keypoint.x) - x) > 0.03));
    CHECK(!(std::abs(static_cast<double>(best->keypoint.y) - y) > 0.03));
    // D(s) compares the blurs s and s + 1: its response peaks where s·2^(1/6) is the blob's size.
    CHECK(!(std::abs(static_cast<double>(best->keypoint.sigma) * std::exp2(1 / 6.0) / sigma - 1) > 0.06));
  }
}

TEST_CASE("extrema are the pixels that exceed their 26 neighbours") {
  const auto space = build_scale_space(texture(40, 53, 1));
  const auto found = find_extrema(space, {.contrast = 0.002});
  std::vector<Extremum> expected;
  for (std::size_t o = 0; o < space.octaves.size(); ++o) {
    const Octave& octave = space.octaves[o];
    const auto d = [&](int l, Index y, Index x) {
      return octave.level(l + 1)[y * octave.stride() + x] - octave.level(l)[y * octave.stride() + x];
    };
    for (int s = 1; s <= 3; ++s) {
      for (Index y = 1; y + 1 < octave.height; ++y) {
        for (Index x = 1; x + 1 < octave.width; ++x) {
          const float v = d(s, y, x);
          int below = 0, above = 0;
          for (int l = s - 1; l <= s + 1; ++l) {
            for (Index i = y - 1; i <= y + 1; ++i) {
              for (Index j = x - 1; j <= x + 1; ++j) {
                below += d(l, i, j) < v;
                above += d(l, i, j) > v;
              }
            }
          }
          if (std::abs(v) <= 0.8f * 0.002f) continue;
          if ((v > 0 && below == 26) || (v < 0 && above == 26))
            expected.push_back({static_cast<int>(o), s, y, x});
        }
      }
    }
  }
  auto sorted = found;
  std::sort(sorted.begin(), sorted.end());
  std::sort(expected.begin(), expected.end());
  CHECK(expected.size() > 50);
  CHECK(sorted == expected);
}

TEST_CASE("edges and faint extrema are rejected") {
  Tensor<float> line({80, 80});  // a bar without ends, slightly wavy so that it has extrema
  for (Index i = 0; i < 80; ++i) {
    for (Index j = 0; j < 80; ++j) {
      const double centre = 40 + 0.02 * std::sin(static_cast<double>(i) * 0.4);
      line.at({i, j}) = static_cast<float>(std::exp(-std::pow(static_cast<double>(j) - centre, 2) / 8));
    }
  }
  const auto space = build_scale_space(line);
  SiftOptions loose = SiftOptions::lowe();
  loose.edge = 1e6;
  const auto extrema = find_extrema(space, loose);
  CHECK(refine_extrema(space, extrema, loose).size() >
        refine_extrema(space, extrema, SiftOptions::lowe()).size());
  SiftOptions strict;
  strict.contrast = 2;
  CHECK(sift(texture(64, 64, 2), strict).keypoints.empty());
}

TEST_CASE("orientation follows the gradient, y pointing down") {
  const struct {
    float dx, dy;
    double angle;
  } cases[] = {{1, 0, 0}, {0, 1, 0.5}, {-1, 0, 1}, {0, -1, 1.5}, {1, 1, 0.25}};
  for (const auto& c : cases) {
    Tensor<float> ramp({48, 48});
    for (Index i = 0; i < 48; ++i) {
      for (Index j = 0; j < 48; ++j) {
        ramp.at({i, j}) = 0.01f * (c.dx * static_cast<float>(j) + c.dy * static_cast<float>(i));
      }
    }
    const auto space = build_scale_space(ramp);
    const auto oriented = assign_orientations(space, {Keypoint{.x = 24, .y = 24, .sigma = 2}});
    REQUIRE(oriented.size() == 1);
    // A single direction fills one bin of ten degrees; smoothing spreads it evenly to both sides.
    CHECK(!(angle_between(static_cast<double>(oriented[0].angle), c.angle * std::numbers::pi) > 0.09));
    const auto upright = assign_orientations(space, oriented, {.upright = true});
    CHECK(upright[0].angle == 0);
  }
  const auto flat = build_scale_space(Tensor<float>::ones({40, 40}));
  CHECK(assign_orientations(flat, {Keypoint{.x = 20, .y = 20, .sigma = 2}}).empty());
}

TEST_CASE("descriptor: a ramp along the key point's direction fills the first of eight directions") {
  Tensor<float> ramp({80, 80});
  for (Index i = 0; i < 80; ++i) {
    for (Index j = 0; j < 80; ++j) ramp.at({i, j}) = 0.005f * static_cast<float>(i);
  }
  const auto space = build_scale_space(ramp);
  const Keypoint k{.x = 40, .y = 40, .sigma = 2, .angle = std::numbers::pi_v<float> / 2};
  SiftOptions options;
  options.root = false;
  const auto d = describe(space, std::vector{k}, options);
  double norm = 0;
  for (Index i = 0; i < 128; ++i) {
    norm += std::pow(static_cast<double>(d.data()[i]), 2);
    if (i % 8 == 0)
      CHECK(d.data()[i] > 0.15f);
    else
      CHECK(d.data()[i] < 0.01f);
  }
  CHECK(!(std::abs(norm - 1) > 1e-4));
  // Turned by a quarter, what was "along" is now three quarters of a turn away.
  const auto turned =
      describe(space, std::vector{Keypoint{.x = 40, .y = 40, .sigma = 2, .angle = 0}}, options);
  CHECK(turned.at({0, 2}) > 0.15f);
  CHECK(turned.at({0, 6}) < 0.01f);
}

TEST_CASE("descriptor against plain loops") {
  const auto space = build_scale_space(texture(70, 60, 3));
  SiftOptions options;
  options.root = false;
  for (const Keypoint& k : {Keypoint{.x = 30.2f, .y = 33.7f, .sigma = 1.3f, .angle = 0.7f},
                            Keypoint{.x = 2.5f, .y = 66, .sigma = 2.9f, .angle = 4.0f},
                            Keypoint{.x = 40, .y = 20, .sigma = 9, .angle = 6.2f}}) {
    const auto [octave, level] = space.nearest(static_cast<double>(k.sigma));
    const double cell = 3 * static_cast<double>(k.sigma) / octave->step, angle = static_cast<double>(k.angle);
    const double cx = static_cast<double>(k.x) / octave->step, cy = static_cast<double>(k.y) / octave->step;
    const float* image = octave->level(level);
    const Index stride = octave->stride();
    std::vector<double> d(128);
    for (Index i = 1; i + 1 < octave->height; ++i) {
      for (Index j = 1; j + 1 < octave->width; ++j) {
        const double x = static_cast<double>(j) - cx, y = static_cast<double>(i) - cy;
        const double u = (std::cos(angle) * x + std::sin(angle) * y) / cell;
        const double v = (std::cos(angle) * y - std::sin(angle) * x) / cell;
        const double gx =
            static_cast<double>(image[i * stride + j + 1]) - static_cast<double>(image[i * stride + j - 1]);
        const double gy = static_cast<double>(image[(i + 1) * stride + j]) -
                          static_cast<double>(image[(i - 1) * stride + j]);
        const double weight = std::hypot(gx, gy) * std::exp(-(u * u + v * v) / 8);
        double turn = (std::atan2(gy, gx) - angle) * 4 / std::numbers::pi;
        turn -= 8 * std::floor(turn / 8);
        for (int r = 0; r < 4; ++r) {
          for (int c = 0; c < 4; ++c) {
            const double share =
                std::max(0.0, 1 - std::abs(v + 1.5 - r)) * std::max(0.0, 1 - std::abs(u + 1.5 - c));
            for (int b = 0; b < 8 && share > 0; ++b) {
              const double apart = std::abs(turn - b), around = std::min(apart, 8 - apart);
              d[static_cast<std::size_t>((r * 4 + c) * 8 + b)] += weight * share * std::max(0.0, 1 - around);
            }
          }
        }
      }
    }
    const auto normalise = [&](double most) {
      double sum = 0;
      for (const double e : d) sum += e * e;
      for (double& e : d) e = std::min(e / std::sqrt(sum), most);
    };
    normalise(0.2);
    normalise(1);
    const auto found = describe(space, std::vector{k}, options);
    double worst = 0;
    for (std::size_t i = 0; i < 128; ++i) {
      const double e = std::abs(static_cast<double>(found.data()[i]) - d[i]);
      worst = e <= worst ? worst : e;
    }
    CHECK(!(worst > 1e-4));
  }
}

TEST_CASE("RootSIFT is the root of the L1-normalised descriptor") {
  const auto picture = texture(64, 64, 4);
  const std::vector<Keypoint> frame{{.x = 30, .y = 31, .sigma = 2, .angle = 1}};
  SiftOptions plain;
  plain.root = false;
  const auto a = sift_descriptors(picture, frame, plain), b = sift_descriptors(picture, frame);
  double sum = 0;
  for (const float v : a.span()) sum += static_cast<double>(v);
  for (Index i = 0; i < 128; ++i) {
    CHECK(!(std::abs(std::sqrt(static_cast<double>(a.data()[i]) / sum) - static_cast<double>(b.data()[i])) >
            1e-4));
  }
}

TEST_CASE("results do not depend on threads, on max_features, on the other key points") {
  const auto picture = texture(150, 170, 5);
  Features one, three;
  {
    const testing::ThreadScope threads(1);
    one = sift(picture);
  }
  {
    const testing::ThreadScope threads(3);
    three = sift(picture);
  }
  REQUIRE(one.keypoints.size() > 100);
  CHECK(one.keypoints == three.keypoints);
  CHECK(same_bits(one.descriptors, three.descriptors));
  CHECK(std::is_sorted(one.keypoints.begin(), one.keypoints.end(),
                       [](const auto& a, const auto& b) { return a.response > b.response; }));

  const auto few = sift(picture, {.max_features = 40});
  REQUIRE(few.keypoints.size() == 40);
  CHECK(std::equal(few.keypoints.begin(), few.keypoints.end(), one.keypoints.begin()));
  CHECK(same_bits(few.descriptors, one.descriptors.rows(0, 40)));

  const std::vector<Keypoint> some{one.keypoints[17], one.keypoints[3]};
  const auto alone = sift_descriptors(picture, some);
  CHECK(same_bits(alone.rows(0, 1), one.descriptors.rows(17, 18)));
  CHECK(same_bits(alone.rows(1, 2), one.descriptors.rows(3, 4)));
}

TEST_CASE("options: first octave, octaves, scales, upright") {
  const auto picture = texture(96, 120, 6);
  const auto all = sift(picture).keypoints.size();
  const auto single = sift(picture, {.first_octave = 0}).keypoints.size();
  CHECK(single < all);
  CHECK(single > 0);
  CHECK(sift(picture, {.octaves = 1}).keypoints.size() < all);
  CHECK(build_scale_space(picture, {.octaves = 2}).octaves.size() == 2);
  CHECK(build_scale_space(picture, {.scales = 5}).octaves[0].levels() == 8);
  CHECK(build_scale_space(picture, {.first_octave = -2}).octaves[0].width == 480);
  CHECK(build_scale_space(picture, {.first_octave = 2}).octaves[0].width == 30);
  CHECK(sift(picture, {.scales = 5}).keypoints.size() > 0);
  for (const Keypoint& k : sift(picture, {.upright = true}).keypoints) CHECK(k.angle == 0);
}

TEST_CASE("a picture turned by a quarter has the same key points, turned") {
  const auto picture = texture(121, 121, 7);
  Tensor<float> turned({121, 121});  // (x,y) -> (120 - y, x): a quarter turn from +x toward +y
  for (Index i = 0; i < 121; ++i) {
    for (Index j = 0; j < 121; ++j) turned.at({j, 120 - i}) = picture.at({i, j});
  }
  const auto a = sift(picture), b = sift(turned);
  int matched = 0, inner = 0;
  for (std::size_t i = 0; i < a.keypoints.size(); ++i) {
    const Keypoint& k = a.keypoints[i];
    if (std::min({k.x, k.y, 120 - k.x, 120 - k.y}) < 12 * k.sigma) continue;  // the border is not symmetric
    ++inner;
    for (std::size_t j = 0; j < b.keypoints.size(); ++j) {
      const Keypoint& t = b.keypoints[j];
      const double angle = static_cast<double>(k.angle) + std::numbers::pi / 2;
      if (std::hypot(120 - k.y - t.x, k.x - t.y) > 0.1f ||
          angle_between(angle, static_cast<double>(t.angle)) > 0.02) {
        continue;
      }
      matched += cosine(a.descriptors.data() + 128 * i, b.descriptors.data() + 128 * j) > 0.99;
      break;
    }
  }
  CHECK(inner > 30);
  CHECK(matched >= 0.95 * inner);
}

TEST_CASE("small, flat, large-valued and broken pictures") {
  for (const Shape& shape : {Shape{1, 1}, Shape{1, 90}, Shape{70, 2}, Shape{3, 3}, Shape{40, 40, 1}}) {
    const auto found = sift(Tensor<float>::full(shape, 0.4f), SiftOptions::vlfeat());
    CHECK(found.keypoints.empty());
    CHECK(found.descriptors.shape() == Shape{0, 128});
  }
  auto bright = texture(64, 64, 8);
  for (float& v : bright.span()) v *= 255;  // values 0…255 only have more contrast
  CHECK(sift(bright).keypoints.size() >= sift(texture(64, 64, 8)).keypoints.size());

  auto broken = texture(20, 20, 9);
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 1e30f}) {
    broken.at({7, 11}) = bad;
    CHECK(contains(error_text<ValueError>([&] { sift(broken); }), "row 7, column 11"));
  }
  CHECK(contains(error_text<ShapeError>([] { sift(Tensor<float>::ones({8, 8, 4})); }), "(8,8,4)"));
  CHECK(contains(error_text<ShapeError>([] { sift(Tensor<float>({0, 8})); }), "(0,8)"));
  const auto tall = Tensor<float>::zeros({(Index{1} << 24) + 1, 1});
  CHECK(contains(error_text<ValueError>([&] { sift(tall, {.first_octave = -2}); }), "2^28"));
  CHECK(contains(error_text<ValueError>([] {
                   sift(Tensor<float>::ones({8, 8}), {.scales = 0});
                 }),
                 "scales is 0"));
  SiftOptions options;
  options.contrast = std::nan("");
  CHECK(contains(error_text<ValueError>([&] {
                   sift(Tensor<float>::ones({8, 8}), options);
                 }),
                 "contrast is nan"));
}

TEST_CASE("any frame has a descriptor, or an error") {
  const auto picture = texture(50, 50, 10);
  const std::vector<Keypoint> odd{{.x = -1e9f, .y = 3, .sigma = 1},
                                  {.x = 25, .y = 25, .sigma = 1e9f},
                                  {.x = 25, .y = 25, .sigma = 1e-9f},
                                  {.x = 25, .y = 25, .sigma = 2, .angle = -400}};
  const auto d = sift_descriptors(picture, odd);
  for (const float v : d.span()) CHECK_UNARY(v >= 0 && v <= 1);
  for (Index i = 0; i < 128; ++i) CHECK(d.at({0, i}) == 0);  // no gradients there
  const std::vector<Keypoint> bad{{.x = 1, .y = 1, .sigma = 1}, {.x = 1, .y = 1, .sigma = 0}};
  CHECK(contains(error_text<ValueError>([&] { sift_descriptors(picture, bad); }), "key point 1"));
  // Finite, but their squares are not.
  for (const Keypoint& k :
       {Keypoint{.x = 3e38f, .y = 3e38f, .sigma = 3e38f}, Keypoint{.x = 25, .y = 25, .sigma = 3e38f},
        Keypoint{.x = -2e9f, .y = 25, .sigma = 1}, Keypoint{.x = 25, .y = 25, .sigma = 1e-40f}}) {
    CHECK(
        contains(error_text<ValueError>([&] { sift_descriptors(picture, std::vector{k}); }), "key point 0"));
  }
}

// Lowe's text form: row, column, scale, orientation with y upward, 128 components; their eight directions run
// the other way round, because y does.
TEST_CASE("reference key points and descriptors") {
  const auto folder = testing::real_data("reference key points and descriptors", "sift_reference");
  if (!folder) return;
  const auto picture = read_gray(*folder / "box.pgm");
  std::ifstream file(*folder / "box.sift");
  int count = 0, length = 0;
  file >> count >> length;
  REQUIRE(count == 638);
  std::vector<Keypoint> frames;
  std::vector<float> reference;
  for (int i = 0; i < count; ++i) {
    Keypoint k;
    file >> k.y >> k.x >> k.sigma >> k.angle;
    k.angle = -k.angle;
    frames.push_back(k);
    float d[128];
    for (float& v : d) file >> v;
    for (int j = 0; j < 128; ++j) reference.push_back(d[j / 8 * 8 + (8 - j % 8) % 8]);
  }
  REQUIRE(file);

  const auto options = SiftOptions::vlfeat();
  const auto found = sift(picture, options);
  int agree = 0;
  for (const Keypoint& r : frames) {
    agree += std::any_of(found.keypoints.begin(), found.keypoints.end(), [&](const Keypoint& k) {
      return std::hypot(k.x - r.x, k.y - r.y) < 0.5f && std::abs(k.sigma / r.sigma - 1) < 0.05f &&
             angle_between(static_cast<double>(k.angle), static_cast<double>(r.angle)) < 0.1;
    });
  }
  MESSAGE(agree, " of 638 reference frames among ", found.keypoints.size());
  CHECK(agree >= 607);

  const auto descriptors = sift_descriptors(picture, frames, options);
  int similar = 0;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    similar += cosine(descriptors.data() + 128 * i, reference.data() + 128 * i) >= 0.98;
  }
  MESSAGE(similar, " of 638 reference descriptors with a cosine of 0.98");
  CHECK(similar >= 607);
}

TEST_CASE("picture pairs: mutual matches agree with the known map") {
  const auto data = testing::real_data("picture pairs", "oxford");
  if (!data) return;
  // The means over all five pairs are bench/sift_quality's; here one pair of each sequence.
  const struct {
    const char *name, *suffix;
    double right, precision;
  } cases[] = {{"graf", ".ppm", 290, 0.33}, {"boat", ".pgm", 500, 0.5}, {"leuven", ".ppm", 850, 0.8}};
  for (const auto& c : cases) {
    const auto folder = *data / c.name;
    std::ifstream file(folder / "H1to3p");
    Matrix3 truth{};
    for (double& v : truth) file >> v;
    REQUIRE(file);
    const auto a = sift(read_gray(folder / (std::string("img1") + c.suffix)), {.max_features = 2000});
    const auto b = sift(read_gray(folder / (std::string("img3") + c.suffix)), {.max_features = 2000});
    const auto matches = match_descriptors(a.descriptors, b.descriptors, {.ratio = 1});
    int right = 0;
    std::vector<Point2> from, to;
    for (const Match& m : matches) {
      const Keypoint &p = a.keypoints[static_cast<std::size_t>(m.a)],
                     &q = b.keypoints[static_cast<std::size_t>(m.b)];
      from.push_back({static_cast<double>(p.x), static_cast<double>(p.y)});
      to.push_back({static_cast<double>(q.x), static_cast<double>(q.y)});
      const Point2 image = transform(truth, from.back());
      right += std::hypot(image.x - to.back().x, image.y - to.back().y) < 3;
    }
    const double precision = right / static_cast<double>(matches.size());
    MESSAGE(std::string(c.name), " 1 to 3: ", right, " right, precision ", precision);
    CHECK(right >= c.right);
    CHECK(precision >= c.precision);
    Rng rng(1);
    const auto found = find_homography(from, to, {}, rng);
    REQUIRE(found.found);
    const Point2 centre = transform(found.matrix, {400, 300}), expected = transform(truth, {400, 300});
    CHECK(!(std::hypot(centre.x - expected.x, centre.y - expected.y) > 3));
  }
}
