// Reports: numbers of the confusion matrix, ticks, colours, and pictures and pages that hold what they
// should.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "files.hpp"
#include "tenon/io/json.hpp"
#include "tenon/report/axes.hpp"
#include "tenon/report/canvas.hpp"
#include "tenon/report/confusion_matrix.hpp"
#include "tenon/report/html.hpp"
#include "tenon/report/line_plot.hpp"
#include "tenon/report/palette.hpp"
#include "tenon/report/results.hpp"

namespace fs = std::filesystem;
using namespace tenon;
using testing::ScratchFolder;
using namespace tenon::report;

// LeakSanitizer asks for this. fontconfig keeps its settings for the life of the process behind offsets
// instead of pointers, which the checker takes for leaks.
extern "C" [[gnu::weak]] const char* __lsan_default_suppressions() { return "leak:libfontconfig\n"; }

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

// A PNG file, decoded.
class Picture {
 public:
  explicit Picture(const fs::path& path) : surface_(cairo_image_surface_create_from_png(path.c_str())) {
    REQUIRE(cairo_surface_status(surface_.get()) == CAIRO_STATUS_SUCCESS);
  }
  int width() const { return cairo_image_surface_get_width(surface_.get()); }
  int height() const { return cairo_image_surface_get_height(surface_.get()); }
  unsigned at(int x, int y) const {  // 0xRRGGBB
    std::uint32_t value = 0;
    std::memcpy(&value,
                cairo_image_surface_get_data(surface_.get()) +
                    static_cast<std::ptrdiff_t>(y) * cairo_image_surface_get_stride(surface_.get()) + 4 * x,
                sizeof value);
    return value & 0xFFFFFFu;
  }
  // Each component may differ by the rounding to bytes.
  bool is(int x, int y, const Color& color) const {
    const unsigned value = at(x, y);
    const auto near = [](double wanted, unsigned byte) {
      return std::abs(255 * wanted - static_cast<double>(byte & 255u)) <= 1;
    };
    return near(color.r, value >> 16) && near(color.g, value >> 8) && near(color.b, value);
  }
  Index count(const Color& color) const {
    Index n = 0;
    for (int y = 0; y < height(); ++y) {
      for (int x = 0; x < width(); ++x) n += is(x, y, color);
    }
    return n;
  }
  // The first place in reading order that starts a run of the colour, 20 elements long.
  Point find(const Color& color) const {
    for (int y = 0; y < height(); ++y) {
      for (int x = 0, run = 0; x < width(); ++x) {
        run = is(x, y, color) ? run + 1 : 0;
        if (run == 20) return {x - 19.0, static_cast<double>(y)};
      }
    }
    FAIL("colour not found");
    return {};
  }

 private:
  tenon::report::detail::CairoSurface surface_;
};

std::size_t occurrences(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (auto at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) ++n;
  return n;
}

}  // namespace

TEST_CASE("confusion matrix: rates and the worst pairs") {
  ConfusionMatrix m({"cat", "dog", "owl"});
  CHECK(std::isnan(m.accuracy()));
  m.add(0, 0, 6);
  m.add(0, 1, 3);
  m.add(0, 2);
  m.add(1, 1, 4);
  m.add(1, 0, 1);
  CHECK(m.total() == 15);
  CHECK(m.at(0, 1) == 3);
  CHECK(m.at(1, 0) == 1);
  CHECK(m.accuracy() == doctest::Approx(10.0 / 15));
  CHECK(m.recall(0) == doctest::Approx(0.6));
  CHECK(m.precision(0) == doctest::Approx(6.0 / 7));
  CHECK(m.precision(1) == doctest::Approx(4.0 / 7));
  CHECK(std::isnan(m.recall(2)));
  CHECK(m.precision(2) == 0);

  const auto worst = m.most_confused(2);
  REQUIRE(worst.size() == 2);
  CHECK(worst[0].true_class == 0);
  CHECK(worst[0].predicted == 1);
  CHECK(worst[0].count == 3);
  CHECK(worst[0].rate == doctest::Approx(0.3));
  CHECK(worst[1].true_class == 0);  // one each with (1, 0): the earlier row first
  CHECK(worst[1].predicted == 2);
  CHECK(m.most_confused(100).size() == 3);
  CHECK(m.most_confused(-1).empty());

  CHECK_THROWS_AS(m.add(3, 0), ValueError);
  CHECK_THROWS_AS(m.add(0, -1), ValueError);
  CHECK_THROWS_AS(m.add(0, 0, -1), ValueError);
  CHECK(m.total() == 15);
}

TEST_CASE("ticks lie at 1, 2, 5 times powers of ten, inside the range, with labels that differ") {
  const Ticks percent = nice_ticks({0, 100}, 5);
  CHECK(percent.labels == std::vector<std::string>{"0", "20", "40", "60", "80", "100"});
  CHECK(nice_ticks({0.83, 2.31}, 5).labels == std::vector<std::string>{"1.0", "1.5", "2.0"});
  CHECK(nice_ticks({-0.3, 0.3}, 6).labels ==
        std::vector<std::string>{"-0.3", "-0.2", "-0.1", "0", "0.1", "0.2", "0.3"});
  CHECK(nice_ticks({0, 3e-5}, 3).labels == std::vector<std::string>{"0", "1e-5", "2e-5", "3e-5"});
  CHECK(nice_ticks({0, 2e7}, 4).labels == std::vector<std::string>{"0", "5e6", "1.0e7", "1.5e7", "2.0e7"});
  CHECK(nice_ticks({0.5, 3.5}, 10, true).labels == std::vector<std::string>{"1", "2", "3"});

  for (const Range range :
       {Range{0, 1}, {1, 30}, {-7, 1e-3}, {1e-9, 3e-9}, {12345.6, 12345.9}, {-4e12, 9e12}}) {
    for (int wanted = 2; wanted <= 12; ++wanted) {
      CAPTURE(range.low);
      CAPTURE(wanted);
      const Ticks t = nice_ticks(range, wanted);
      const double mantissa = t.step / std::pow(10, std::floor(std::log10(t.step) + 1e-9));
      CHECK(
          (std::abs(mantissa - 1) < 1e-6 || std::abs(mantissa - 2) < 1e-6 || std::abs(mantissa - 5) < 1e-6));
      CHECK(t.values.size() <= static_cast<std::size_t>(wanted) + 1);
      CHECK(t.values.size() * 3 >= static_cast<std::size_t>(wanted));
      CHECK(std::set<std::string>(t.labels.begin(), t.labels.end()).size() == t.labels.size());
      const double slack = 1e-6 * (range.high - range.low);
      for (std::size_t i = 0; i < t.values.size(); ++i) {
        CHECK(t.values[i] >= range.low - slack);
        CHECK(t.values[i] <= range.high + slack);
        CHECK(!(std::abs(std::stod(t.labels[i]) - t.values[i]) > 1e-6 * t.step));
      }
    }
  }
  CHECK_THROWS_AS(nice_ticks({1, 1}, 5), ValueError);
  CHECK_THROWS_AS(nice_ticks({0, not_a_number}, 5), ValueError);
  CHECK_THROWS_AS(nice_ticks({0, 1}, 0), ValueError);
}

TEST_CASE("a linear axis maps the ends of the data to the ends of the picture") {
  const LinearAxis down{{10, 20}, {300, 100}};
  CHECK(down(10) == 300);
  CHECK(down(20) == 100);
  CHECK(down(15) == doctest::Approx(200));
}

TEST_CASE("colours: curves differ, the sequential scale darkens steadily, text on it is readable") {
  for (std::size_t i = 0; i < 8; ++i) {
    for (std::size_t j = 0; j < i; ++j) CHECK_FALSE(categorical(i) == categorical(j));
  }
  CHECK(categorical(8) == categorical(0));
  CHECK(contrast(black, white) == doctest::Approx(21));
  double before = 2;
  for (int i = 0; i <= 100; ++i) {
    const Color c = sequential(i / 100.0);
    CHECK(luminance(c) < before);
    CHECK(contrast(readable_on(c), c) >= 3.5);
    before = luminance(c);
  }
  CHECK(sequential(-1) == sequential(0));
  CHECK(sequential(2) == sequential(1));
  CHECK(sequential(not_a_number) == sequential(0));
  // Oklab's white and its definition of sRGB red (L 0.628, C 0.2577, h 29.23), both from Ottosson 2020.
  CHECK(oklch(1, 0, 0).g == doctest::Approx(1).epsilon(1e-3));
  CHECK(oklch(0.62796, 0.25768, 29.234).r == doctest::Approx(1).epsilon(1e-3));
  CHECK(oklch(0.62796, 0.25768, 29.234).g < 0.02);
}

TEST_CASE("utf-8 is repaired and shortened by characters") {
  CHECK(valid_utf8("Größe 猫 🐈") == "Größe 猫 🐈");
  CHECK(valid_utf8("a\xFF\xC3(") == "a\uFFFD\uFFFD(");
  CHECK(valid_utf8("\xC0\xAF") == "\uFFFD\uFFFD");            // overlong
  CHECK(valid_utf8("\xED\xA0\x80") == "\uFFFD\uFFFD\uFFFD");  // a surrogate
  CHECK(valid_utf8("\xF0\x9F\x90") == "\uFFFD\uFFFD\uFFFD");  // cut short
  CHECK(valid_utf8(std::string_view("a\0b\n", 4)) == "a b ");
  CHECK(shortened("abcde", 5) == "abcde");
  CHECK(shortened("äöüßé", 4) == "äöü…");
}

TEST_CASE("render draws the same picture as SVG and as PNG of twice the size") {
  const ScratchFolder folder;
  int calls = 0;
  render(folder.path() / "v1.5", 40, 30, [&](Canvas& canvas) {
    ++calls;
    canvas.fill({10, 10, 10, 10}, rgb(0xFF0000));
    canvas.clipped({0, 0, 5, 30}, [&] { canvas.fill({0, 25, 40, 5}, rgb(0x0000FF)); });
  });
  CHECK(calls == 2);
  CHECK(folder.entries() == 2);
  const Picture picture(folder.path() / "v1.5.png");
  CHECK(picture.width() == 80);
  CHECK(picture.height() == 60);
  CHECK(picture.at(30, 30) == 0xFF0000);
  CHECK(picture.at(18, 30) == 0xFFFFFF);
  CHECK(picture.at(42, 30) == 0xFFFFFF);
  CHECK(picture.at(4, 55) == 0x0000FF);
  CHECK(picture.at(14, 55) == 0xFFFFFF);  // clipped away
  const std::string svg = io::read_file(folder.path() / "v1.5.svg");
  CHECK(occurrences(svg, "<svg") == 1);
  CHECK(svg.find("</svg>") != svg.npos);
  CHECK(svg.find("width=\"40px\"") != svg.npos);
  CHECK(svg.find("rgb(100%,0%,0%)") != svg.npos);
}

TEST_CASE("text and every marker leave ink; malformed text does not stop the drawing") {
  const ScratchFolder folder;
  render(folder.path() / "ink", 200, 40, [](Canvas& canvas) {
    for (int i = 0; i < 7; ++i) {
      canvas.marker({10.0 + 20 * i, 10}, static_cast<Marker>(i), 8, rgb(0x00FF00));
    }
    canvas.text({10, 35}, "ok \xFF\xFE", {.size = 12, .color = black});
    CHECK(canvas.status() == CAIRO_STATUS_SUCCESS);
    CHECK(canvas.text_width("wider text", {}) > canvas.text_width("text", {}));
  });
  const Picture picture(folder.path() / "ink.png");
  for (int i = 0; i < 7; ++i) CHECK(picture.at(20 + 40 * i, 20) == 0x00FF00);
  CHECK(picture.count(black) > 5);
}

TEST_CASE("a failed drawing leaves the old pictures and no other file") {
  const ScratchFolder folder;
  const fs::path stem = folder.path() / "plot";
  render(stem, 10, 10, [](Canvas&) {});
  const std::string svg = io::read_file(folder.path() / "plot.svg"),
                    png = io::read_file(folder.path() / "plot.png");
  int calls = 0;
  CHECK_THROWS_AS(render(stem, 20, 20,
                         [&](Canvas& canvas) {
                           canvas.fill({0, 0, 20, 20}, black);
                           if (++calls == 2) throw ValueError("while drawing the PNG");
                         }),
                  ValueError);
  CHECK(io::read_file(folder.path() / "plot.svg") == svg);
  CHECK(io::read_file(folder.path() / "plot.png") == png);
  CHECK(folder.entries() == 2);
  CHECK_THROWS_AS(render(folder.path() / "none" / "plot", 10, 10, [](Canvas&) {}), FileError);
  CHECK_THROWS_AS(render(stem, 0, 10, [](Canvas&) {}), ValueError);
  CHECK_THROWS_AS(render(stem, 1e9, 10, [](Canvas&) {}), ValueError);
}

TEST_CASE("line plot: each curve is drawn in its colour, single points and gaps included") {
  const ScratchFolder folder;
  LinePlot plot{.title = "loss", .x_label = "epoch", .y_label = "nats"};
  plot.curves = {{"", {1, 2, 3, 4}, {4, 3, 2, 1}},
                 {"", {2.5}, {3.5}},
                 {"", {1, 2, 3}, {not_a_number, 1.2, not_a_number}}};
  save(plot, folder.path() / "p");
  const Picture picture(folder.path() / "p.png");
  CHECK(picture.count(categorical(0)) > 500);
  for (const std::size_t single : {1u, 2u}) {
    CHECK(picture.count(categorical(single)) > 20);
    CHECK(picture.count(categorical(single)) < 300);
  }
  const Index whole = picture.count(categorical(0));
  plot.curves[0].y = {4, not_a_number, not_a_number, 1};
  save(plot, folder.path() / "p");
  CHECK(Picture(folder.path() / "p.png").count(categorical(0)) < whole / 3);
}

TEST_CASE("line plot: curve geometry") {
  namespace d = tenon::report::detail;
  const LinearAxis unit{{0, 1}, {0, 1}};
  const auto paths = d::curve_paths({"", {0, 1, 2, 3, 4}, {0, not_a_number, 2, 3, HUGE_VAL}}, unit, unit);
  REQUIRE(paths.size() == 2);
  CHECK(paths[0].size() == 1);
  CHECK(paths[1].size() == 2);
  CHECK(d::curve_paths({"", {1}, {not_a_number}}, unit, unit).empty());

  Curve dense{"", {}, {}};  // 100 columns of 1000 points; one spike must survive
  for (int i = 0; i < 100000; ++i) {
    dense.x.push_back(i / 1000.0);
    dense.y.push_back(i == 54321 ? 9.0 : std::sin(i));
  }
  const auto thin = d::curve_paths(dense, unit, unit);
  REQUIRE(thin.size() == 1);
  CHECK(thin[0].size() <= 400);
  double highest = 0;
  for (const Point& p : thin[0]) highest = std::max(highest, p.y);
  CHECK(highest == 9);

  const Rect box{10, 10, 10, 10};
  CHECK(d::meets({0, 15}, {30, 15}, box));
  CHECK(d::meets({15, 15}, {15, 15}, box));
  CHECK(d::meets({5, 15}, {15, 5}, box));
  CHECK_FALSE(d::meets({0, 9}, {30, 9}, box));
  CHECK_FALSE(d::meets({0, 15}, {9, 15}, box));
  CHECK_FALSE(d::meets({5, 14}, {14, 5}, box));
}

TEST_CASE("line plot: strange but legal plots are drawn, impossible ones refused") {
  const ScratchFolder folder;
  const std::vector<double> few{1, 2}, one{1};
  LinePlot nothing;
  LinePlot lost{.curves = {{"n", {not_a_number, 1}, {1, not_a_number}}}};
  LinePlot flat{.curves = {{"f", {1, 2, 3}, {0, 0, 0}}, {"g", {1, 2, 3}, {1e-300, 1e-300, 1e-300}}}};
  LinePlot huge{.curves = {{"h", {-1e299, 1e299}, {-1e299, 1e299}}, {"i", {1, 2}, {1e308, -1e308}}}};
  LinePlot named{.title = std::string(300, 'W'), .curves = {{std::string(300, 'm'), few, few}}};
  LinePlot far{.curves = {{"t", {1.7e9, 1.7e9 + 1}, {1, 2}}}};
  LinePlot crowd;
  for (int i = 0; i < 200; ++i) crowd.curves.push_back({text("curve ", i), {1, 2, 3}, {0, i % 7 / 6.0, 1}});
  const std::vector<LinePlot> plots{nothing, lost, flat, huge, named, far, crowd};
  save_grid(plots, 4, folder.path() / "grid", {.width = 300, .height = 200});
  const Picture picture(folder.path() / "grid.png");
  CHECK(picture.width() == 2 * 4 * 300);
  CHECK(picture.height() == 2 * 2 * 200);

  CHECK_THROWS_AS(save(LinePlot{.curves = {{"c", few, one}}}, folder.path() / "x"), ValueError);
  CHECK_THROWS_AS(save(LinePlot{.y_range = Range{1, 1}}, folder.path() / "x"), ValueError);
  CHECK_THROWS_AS(save(LinePlot{.y_range = Range{0, not_a_number}}, folder.path() / "x"), ValueError);
  CHECK_THROWS_AS(save_grid({}, 2, folder.path() / "x"), ValueError);
  CHECK_THROWS_AS(save_grid(plots, 2, folder.path() / "x", {.width = 100}), ValueError);
  CHECK_THROWS_AS(save_grid(plots, 0, folder.path() / "x"), ValueError);
  CHECK(folder.entries() == 2);
}

TEST_CASE("confusion matrix picture: diagonal dark, empty cells pale, unseen rows grey") {
  const ScratchFolder folder;
  ConfusionMatrix m({"a", "b", "c"});
  m.add(0, 0, 10);
  m.add(1, 0, 5);
  m.add(1, 1, 5);
  save(m, folder.path() / "m", "matrix <1>");
  const Picture picture(folder.path() / "m.png");
  const int side = 112;  // of a cell, in picture elements
  const Index cell = side * side;
  CHECK(picture.count(sequential(1)) > cell / 2);
  CHECK(picture.count(sequential(0.5)) > cell);
  CHECK(picture.count(sequential(0)) > 5 * cell / 2);
  CHECK(picture.count(rgb(0xDDDDDD)) > 5 * cell / 2);
  const Point first = picture.find(sequential(1));  // the corner of the first cell
  const int x = static_cast<int>(first.x) + side / 8, y = static_cast<int>(first.y) + side / 8;
  CHECK(picture.is(x, y + side, sequential(0.5)));  // row b, column a
  CHECK(picture.is(x + side, y, sequential(0)));    // row a, column b
  CHECK(picture.is(x + side, y + side, sequential(0.5)));
  CHECK(picture.is(x, y + 2 * side, rgb(0xDDDDDD)));

  for (const int n : {1, 2, 15, 26, 27, 100}) {
    ConfusionMatrix large(
        std::vector<std::string>(static_cast<std::size_t>(n), "a rather long class name \xFF"));
    for (Index i = 0; i < n; ++i) large.add(i, i, 3);
    save(large, folder.path() / "large", "");
    const Picture drawn(folder.path() / "large.png");
    CHECK(drawn.width() > 2 * 9 * n);
    CHECK(drawn.width() < 3600);
    CHECK(drawn.count(sequential(1)) > 100);
  }
  CHECK_THROWS_AS(save(ConfusionMatrix({}), folder.path() / "none", ""), ValueError);
  CHECK_FALSE(fs::exists(folder.path() / "none.png"));
}

TEST_CASE("html: text is escaped, pictures are inside, nothing is fetched") {
  const ScratchFolder folder;
  render(folder.path() / "fig", 20, 20, [](Canvas& canvas) { canvas.fill({0, 0, 10, 10}, black); });
  HtmlReport report("A < B & \"C\"");
  report.add_heading("<script>alert(1)</script>");
  report.add_paragraph("5 > 3 & it's \xFF");
  report.add_preformatted("a\n  b");
  const std::vector<std::string> header{"name", "accuracy"};
  const std::vector<std::vector<std::string>> rows{{"<b>x</b>", "54.3 %"}, {"y", "-"}};
  report.add_table(header, rows);
  report.add_figure(folder.path() / "fig.svg", "\" onload=\"x");
  report.add_figure(folder.path() / "fig.png", "png");
  report.save(folder.path() / "report.html");
  const std::string page = io::read_file(folder.path() / "report.html");

  CHECK(page.find("<script") == page.npos);
  CHECK(page.find("&lt;script&gt;alert(1)&lt;/script&gt;") != page.npos);
  CHECK(page.find("<title>A &lt; B &amp; &quot;C&quot;</title>") != page.npos);
  CHECK(page.find("5 &gt; 3 &amp; it&#39;s \uFFFD") != page.npos);
  CHECK(page.find("<pre>a\n  b</pre>") != page.npos);
  CHECK(page.find("&lt;b&gt;x&lt;/b&gt;") != page.npos);
  CHECK(page.find("<td class=\"n\">54.3 %</td>") != page.npos);
  CHECK(page.find("<td>-</td>") != page.npos);
  CHECK(page.find("alt=\"&quot; onload=&quot;x\"") != page.npos);
  CHECK(page.find("data:image/png;base64,iVBORw0KGgo") != page.npos);
  CHECK(page.find("data:image/svg+xml;base64," + base64(io::read_file(folder.path() / "fig.svg"))) !=
        page.npos);
  CHECK(occurrences(page, "<img ") == 2);
  CHECK(occurrences(page, "http") == 1);  // the http-equiv of the policy: no address at all
  CHECK(page.find("url(") == page.npos);

  const std::string before = report.html();
  const std::vector<std::vector<std::string>> ragged{{"only one"}};
  CHECK_THROWS_AS(report.add_table(header, ragged), ValueError);
  CHECK_THROWS_AS(report.add_heading("h", 1), ValueError);
  CHECK_THROWS_AS(report.add_figure(folder.path() / "none.png", ""), FileError);
  io::write_file(folder.path() / "text.png", "not a picture");
  CHECK_THROWS_AS(report.add_figure(folder.path() / "text.png", ""), FileError);
  CHECK(report.html() == before);
}

TEST_CASE("base64 (RFC 4648, section 10)") {
  CHECK(base64("") == "");
  CHECK(base64("f") == "Zg==");
  CHECK(base64("fo") == "Zm8=");
  CHECK(base64("foo") == "Zm9v");
  CHECK(base64("foobar") == "Zm9vYmFy");
  CHECK(base64("\xFF\xFE\xFD") == "//79");
}

TEST_CASE("results.json holds exactly the contract's keys") {
  const ScratchFolder folder;
  save(Results{.program = "cifar",
               .config = {{"epochs", 30}, {"model", "lenet"}},
               .metrics = {{"accuracy", 0.543}, {"undefined", not_a_number}},
               .seconds = 12.5,
               .peak_bytes = Index{5} << 30},
       folder.path() / "results.json");
  const io::Json json = io::read_json(folder.path() / "results.json");
  CHECK(json.size() == 5);
  CHECK(json.at("program") == "cifar");
  CHECK(json.at("config").at("epochs") == 30);
  CHECK(json.at("metrics").at("accuracy") == 0.543);
  CHECK(json.at("metrics").at("undefined").is_null());
  CHECK(json.at("seconds") == 12.5);
  CHECK(json.at("peak_bytes") == 5368709120);

  save(Results{.program = "empty"}, folder.path() / "results.json");
  CHECK(io::read_json(folder.path() / "results.json").at("config").is_object());
}
