// What the program leaves behind: arrays, overlays, results.json and report.html.
#pragma once

#include <tenon/image/encode.hpp>
#include <tenon/io/npy.hpp>
#include <tenon/report/html.hpp>
#include <tenon/report/line_plot.hpp>
#include <tenon/report/results.hpp>

#include "drawing.hpp"
#include "matching.hpp"
#include "options.hpp"
#include "pictures.hpp"

namespace programs {

namespace detail {

// (n,5): x, y, sigma, angle, response
inline Tensor<float> keypoint_rows(const std::vector<tenon::Keypoint>& keypoints) {
  Tensor<float> rows({static_cast<Index>(keypoints.size()), 5});
  float* to = rows.data();
  for (const auto& p : keypoints) {
    for (const float v : {p.x, p.y, p.sigma, p.angle, p.response}) *to++ = v;
  }
  return rows;
}

inline tenon::io::Json config_of(const SiftProgramOptions& o, const CommonOptions& common) {
  const tenon::SiftOptions s = sift_settings(o);
  return {{"images", o.images},
          {"preset", o.preset},
          {"max_features", s.max_features},
          {"contrast", s.contrast},
          {"edge", s.edge},
          {"first_octave", s.first_octave},
          {"upright", s.upright},
          {"root", s.root},
          {"ratio", o.ratio},
          {"mutual", o.mutual},
          {"tolerance", o.tolerance},
          {"seed", common.seed},
          {"threads", tenon::thread_count()}};
}

inline void save_results(const tenon::io::Json& metrics, const SiftProgramOptions& o,
                         const CommonOptions& common, const Stopwatch& watch) {
  using namespace tenon;
  report::save(report::Results{.program = "sift",
                               .config = config_of(o, common),
                               .metrics = metrics,
                               .seconds = watch.seconds(),
                               .peak_bytes = static_cast<Index>(Backend<Cpu>::memory_stats().peak)},
               fs::path(common.out) / "results.json");
}

// How many key points there are at each scale: counts in thirds of an octave.
inline tenon::report::LinePlot scale_plot(const std::vector<tenon::Keypoint>& keypoints) {
  std::vector<double> counts;
  for (const auto& p : keypoints) {
    const auto bin =
        static_cast<std::size_t>(std::clamp(std::round(3 * std::log2(p.sigma / 0.5)), 0.0, 40.0));
    if (counts.size() <= bin) counts.resize(bin + 1);
    ++counts[bin];
  }
  tenon::report::LinePlot plot{
      .title = "key points by scale", .x_label = "log2 of sigma (pixels)", .y_label = "key points"};
  plot.curves.emplace_back();
  for (std::size_t i = 0; i < counts.size(); ++i) {
    plot.curves[0].x.push_back(static_cast<double>(i) / 3 - 1);
    plot.curves[0].y.push_back(counts[i]);
  }
  return plot;
}

}  // namespace detail

// keypoints.npy, descriptors.npy, the overlay and the report of one picture.
inline void write_keypoints(const Picture& picture, const tenon::Features& found, const SiftProgramOptions& o,
                            const CommonOptions& common, const Stopwatch& watch) {
  using namespace tenon;
  const fs::path out = common.out;
  io::ensure_directory(out);
  const auto count = static_cast<Index>(found.keypoints.size());
  io::write_npy(out / "keypoints.npy", detail::keypoint_rows(found.keypoints));
  io::write_npy(out / "descriptors.npy", count > 0 ? found.descriptors : Tensor<float>({0, 128}));

  Tensor<std::uint8_t> overlay = picture.rgb.clone();
  draw_keypoints(overlay, found.keypoints);
  draw_label(overlay, text(count, " key points"));
  image::write_png(out / "overlay.png", overlay);
  report::save(detail::scale_plot(found.keypoints), out / "scales");

  report::HtmlReport page("SIFT key points");
  page.add_paragraph(text(
      picture.name, ": ", picture.gray.size(1), "×", picture.gray.size(0), " pixels, ", count,
      " key points. Arrays: keypoints.npy (n,5: x, y, sigma, angle, response; pixels from the centre of the "
      "top left one, y down, radians from +x toward +y) and descriptors.npy (n,128)."));
  page.add_figure(out / "overlay.png",
                  "Circles of three times the scale, with the direction; colours go with the scale.");
  page.add_figure(out / "scales.svg", "How many key points there are at each scale.");
  page.save(out / "report.html");
  detail::save_results({{"keypoints", count}}, o, common, watch);
}

// The picture of the matches, the homography and the report of two pictures.
inline void write_matches(const std::vector<Picture>& pictures, const std::vector<tenon::Features>& found,
                          const Pairing& pairing, const SiftProgramOptions& o, const CommonOptions& common,
                          const Stopwatch& watch) {
  using namespace tenon;
  const fs::path out = common.out;
  io::ensure_directory(out);
  Tensor<std::uint8_t> picture =
      draw_matches(pictures[0].rgb, pictures[1].rgb, found[0], found[1], pairing.matches, pairing.agrees);
  draw_label(picture, text(pairing.inlier_count(), " of ", pairing.matches.size(), " matches agree"));
  image::write_png(out / "matches.png", picture);
  Tensor<std::int32_t> rows({static_cast<Index>(pairing.matches.size()), 3});
  for (std::size_t i = 0; i < pairing.matches.size(); ++i) {
    std::int32_t* row = rows.data() + 3 * static_cast<Index>(i);
    row[0] = static_cast<std::int32_t>(pairing.matches[i].a);
    row[1] = static_cast<std::int32_t>(pairing.matches[i].b);
    row[2] = pairing.agrees[i];
  }
  io::write_npy(out / "matches.npy", rows);

  report::HtmlReport page("SIFT matches");
  page.add_paragraph(
      text(pictures[0].name, " (", found[0].keypoints.size(), " key points) and ", pictures[1].name, " (",
           found[1].keypoints.size(), "): ", pairing.matches.size(), " matches, ", pairing.inlier_count(),
           " of them agree with one homography within ", o.tolerance,
           " pixels. Arrays: matches.npy (n,3: key point of the first, of the second, 1 if it agrees)",
           pairing.homography.defined() ? " and homography.npy (3,3)." : "."));
  io::Json metrics = {{"keypoints", {found[0].keypoints.size(), found[1].keypoints.size()}},
                      {"matches", pairing.matches.size()},
                      {"inliers", pairing.inlier_count()},
                      {"homography", nullptr}};
  if (pairing.homography.defined()) {
    io::write_npy(out / "homography.npy", pairing.homography);
    std::string lines;
    io::Json rows_of = io::Json::array();
    for (Index i = 0; i < 3; ++i) {
      const double* row = pairing.homography.data() + 3 * i;
      rows_of.push_back({row[0], row[1], row[2]});
      lines += text(fixed(row[0], 6), "  ", fixed(row[1], 6), "  ", fixed(row[2], 6), "\n");
    }
    metrics["homography"] = rows_of;
    page.add_paragraph("The homography that takes the first picture's pixels to the second's:");
    page.add_preformatted(lines);
  }
  page.add_figure(out / "matches.png", "Green: matches that agree with the homography; red: the others.");
  page.save(out / "report.html");
  detail::save_results(metrics, o, common, watch);
}

}  // namespace programs
