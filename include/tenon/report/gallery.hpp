// A gallery: rows of small pictures, each row under its title, as one picture.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "tenon/image/draw.hpp"
#include "tenon/image/resize.hpp"

namespace tenon::report {

struct GalleryPicture {
  Tensor<std::uint8_t> pixels;  // (H,W,3)
  std::string caption = {};     // one line below it, cut where it is too long
  image::Rgb frame = {200, 200, 200};
};

struct GalleryRow {
  std::string title = {};
  std::vector<GalleryPicture> pictures = {};
};

struct GalleryOptions {
  Index cell_width = 150, cell_height = 112;  // room of a picture, which is scaled to fit
  Index gap = 10;
};

namespace detail {

// The picture scaled into the cell, its sides in proportion.
inline Tensor<std::uint8_t> fitted(const Tensor<std::uint8_t>& x, const GalleryOptions& o) {
  const double scale = std::min(static_cast<double>(o.cell_height) / static_cast<double>(x.size(0)),
                                static_cast<double>(o.cell_width) / static_cast<double>(x.size(1)));
  const auto scaled = [&](Index side, Index most) {
    return std::clamp<Index>(static_cast<Index>(std::lround(scale * static_cast<double>(side))), 1, most);
  };
  return image::resize(
      x, {.height = scaled(x.size(0), o.cell_height), .width = scaled(x.size(1), o.cell_width)});
}

// One line of text, without the letters that do not fit.
inline void draw_line_of_text(Tensor<std::uint8_t>& page, Index left, Index top, std::string line, Index room,
                              const image::TextOptions& style) {
  while (!line.empty() && image::text_width(line, style) > static_cast<double>(room)) line.pop_back();
  image::draw_text(page, static_cast<double>(left), static_cast<double>(top), line, style);
}

}  // namespace detail

// -> (H,W,3), as wide as the longest row. ValueError without any picture.
inline Tensor<std::uint8_t> gallery(const std::vector<GalleryRow>& rows, const GalleryOptions& o = {}) {
  constexpr Index title_height = 24, caption_height = 18;
  std::size_t longest = 0;
  for (const GalleryRow& row : rows) longest = std::max(longest, row.pictures.size());
  require<ValueError>(longest > 0, "gallery: ", rows.size(), " rows without a picture");
  const Index row_height = title_height + o.cell_height + caption_height + o.gap;
  const Index width = static_cast<Index>(longest) * (o.cell_width + o.gap) + o.gap;
  Tensor<std::uint8_t> page = image::blank(static_cast<Index>(rows.size()) * row_height + o.gap, width);

  Index top = o.gap;
  for (const GalleryRow& row : rows) {
    detail::draw_line_of_text(page, o.gap, top, row.title, width - 2 * o.gap,
                              {.color = {20, 20, 20}, .size = 11});
    Index left = o.gap;
    for (const GalleryPicture& picture : row.pictures) {
      const Tensor<std::uint8_t> small = detail::fitted(picture.pixels, o);
      const Index x = left + (o.cell_width - small.size(1)) / 2;
      const Index y = top + title_height + (o.cell_height - small.size(0)) / 2;
      image::paste(page, small, x, y);
      image::draw_box(page, static_cast<double>(x) - 1, static_cast<double>(y) - 1,
                      static_cast<double>(x + small.size(1)), static_cast<double>(y + small.size(0)),
                      {.color = picture.frame, .width = 2});
      detail::draw_line_of_text(page, left, top + title_height + o.cell_height + 6, picture.caption,
                                o.cell_width, {.color = {90, 90, 90}, .size = 8});
      left += o.cell_width + o.gap;
    }
    top += row_height;
  }
  return page;
}

}  // namespace tenon::report
