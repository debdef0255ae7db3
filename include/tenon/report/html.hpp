// A report as one HTML file that needs nothing else: no script, no font, no other file. Pictures travel
// inside it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tenon/core/error.hpp"
#include "tenon/io/atomic_file.hpp"
#include "tenon/report/utf8.hpp"

namespace tenon::report {

// Text as it may stand in an element or in a quoted attribute. Malformed UTF-8 becomes U+FFFD.
inline std::string escape_html(std::string_view plain) {
  std::string out;
  for (const char c : valid_utf8(plain, "\n\t")) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

// RFC 4648, section 4, with padding.
inline std::string base64(std::string_view bytes) {
  static constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](std::size_t k) {
      return i + k < bytes.size() ? std::uint32_t{static_cast<unsigned char>(bytes[i + k])} : 0u;
    };
    const std::uint32_t group = byte(0) << 16 | byte(1) << 8 | byte(2);
    for (std::size_t k = 0; k < 4; ++k) {
      out += i + k <= bytes.size() ? alphabet[(group >> (18 - 6 * k)) & 63] : '=';
    }
  }
  return out;
}

// Parts appear in the order in which they are added; every text is escaped.
class HtmlReport {
 public:
  explicit HtmlReport(std::string title) : title_(std::move(title)) {}

  // level: 2 for a section, 3 for a part of one.
  void add_heading(std::string_view heading, int level = 2) {
    require<ValueError>(level == 2 || level == 3, "html report: heading level ", level, ", expected 2 or 3");
    body_ += text("<h", level, ">", escape_html(heading), "</h", level, ">\n");
  }

  void add_paragraph(std::string_view paragraph) { body_ += text("<p>", escape_html(paragraph), "</p>\n"); }

  // Text whose line breaks and columns count, in a font of fixed width.
  void add_preformatted(std::string_view lines) { body_ += text("<pre>", escape_html(lines), "</pre>\n"); }

  // Cells that hold a number are set to the right. ValueError if a row's length is not the header's.
  void add_table(std::span<const std::string> header, std::span<const std::vector<std::string>> rows) {
    std::string table = "<div class=\"wide\"><table>\n<thead><tr>";
    for (const std::string& cell : header) table += text("<th>", escape_html(cell), "</th>");
    table += "</tr></thead>\n<tbody>\n";
    for (const auto& row : rows) {
      require<ValueError>(row.size() == header.size(), "html report: table row of ", row.size(),
                          " cells under a header of ", header.size());
      table += "<tr>";
      for (const std::string& cell : row) {
        table += text(is_number(cell) ? "<td class=\"n\">" : "<td>", escape_html(cell), "</td>");
      }
      table += "</tr>\n";
    }
    body_ += table + "</tbody></table></div>\n";
  }

  // An SVG, PNG or JPEG file, taken in as it is now. It is embedded as an image of its own, because drawings
  // in one page would share the names of their parts. FileError if it cannot be read or is none of these.
  void add_figure(const std::filesystem::path& path, std::string_view caption) {
    const std::string bytes = io::read_file(path, std::size_t{64} << 20);
    const std::string shown = escape_html(caption);
    body_ += text("<figure><img src=\"data:", image_type(bytes, path), ";base64,", base64(bytes), "\" alt=\"",
                  shown, "\"><figcaption>", shown, "</figcaption></figure>\n");
  }

  // The whole page.
  std::string html() const {
    const std::string title = escape_html(title_);
    return text("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
                "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; ",
                "style-src 'unsafe-inline'\">\n<title>", title, "</title>\n<style>\n", style(),
                "</style>\n</head>\n<body>\n<main>\n<h1>", title, "</h1>\n", body_,
                "</main>\n</body>\n</html>\n");
  }

  void save(const std::filesystem::path& path) const { io::write_file(path, html()); }

 private:
  static std::string_view style() {
    return R"(:root { color-scheme: light dark; --paper: #fff; --ink: #1d1f21; --soft: #5b6168; --rule: #d9dce0;
  --band: #f5f6f8; --accent: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --paper: #16181b; --ink: #e4e6e9; --soft: #a2a8b0;
  --rule: #373b41; --band: #1f2226; --accent: #6db9ea; } }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, "DejaVu Sans", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1.2rem 1rem 4rem; overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.25; }
h2 { font-size: 1.25rem; margin-top: 2.2rem; padding-bottom: .25rem; border-bottom: 2px solid var(--accent); }
h3 { font-size: 1.05rem; margin-top: 1.6rem; }
.wide, pre { overflow-x: auto; }
pre { padding: .8rem; background: var(--band); border-radius: 6px; font-size: .85rem; line-height: 1.4; }
table { border-collapse: collapse; font-size: .93rem; }
th, td { padding: .35rem .75rem; text-align: left; border-bottom: 1px solid var(--rule); }
th { color: var(--soft); font-weight: 600; }
tbody tr:nth-child(odd) { background: var(--band); }
.n { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: 1.5rem 0; text-align: center; }
img { max-width: 100%; height: auto; background: #fff; border-radius: 6px; }
figcaption { margin-top: .4rem; color: var(--soft); font-size: .9rem; }
@media print { main { max-width: none; } figure, tr { break-inside: avoid; } }
)";
  }

  // Digits with sign, point, exponent, percent and thousands commas; "-" alone is none.
  static bool is_number(std::string_view cell) {
    return cell.find_first_of("0123456789") != cell.npos &&
           cell.find_first_not_of("0123456789+-.,eE% ") == cell.npos;
  }

  static std::string_view image_type(std::string_view bytes, const std::filesystem::path& path) {
    if (bytes.starts_with("\x89PNG\r\n\x1a\n")) return "image/png";
    if (bytes.starts_with("\xFF\xD8\xFF")) return "image/jpeg";
    if (bytes.starts_with("<?xml") || bytes.starts_with("<svg")) {
      if (bytes.find("<svg") != bytes.npos) return "image/svg+xml";
    }
    fail<FileError>(path.string(), ": not a picture that a page can hold, expected SVG, PNG or JPEG");
  }

  std::string title_, body_;
};

}  // namespace tenon::report
