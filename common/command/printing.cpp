#include "common/command/printing.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "common/base/text.h"
#include "common/base/unicode.h"

namespace espalier::command {
namespace {

// Unicode 15's blocks, simplified: a mistake only shifts a column.
constexpr std::array<std::pair<char32_t, char32_t>, 9> kWide = {{{0x1100, 0x115F},
                                                                 {0x2E80, 0x303E},
                                                                 {0x3041, 0xA4CF},
                                                                 {0xAC00, 0xD7A3},
                                                                 {0xF900, 0xFAFF},
                                                                 {0xFE30, 0xFE6F},
                                                                 {0xFF00, 0xFF60},
                                                                 {0x1F300, 0x1FAFF},
                                                                 {0x20000, 0x3FFFD}}};
constexpr std::array<std::pair<char32_t, char32_t>, 6> kNoWidth = {{{0x0300, 0x036F},
                                                                    {0x0483, 0x0489},
                                                                    {0x1AB0, 0x1AFF},
                                                                    {0x200B, 0x200F},
                                                                    {0x20D0, 0x20FF},
                                                                    {0xFE00, 0xFE0F}}};

template <std::size_t N>
bool within(char32_t c, const std::array<std::pair<char32_t, char32_t>, N>& ranges) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [c](const auto& range) { return c >= range.first && c <= range.second; });
}

}  // namespace

std::string printable(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (true) {
    const auto end = text.find_first_of("\\\n");
    result += escaped(text.substr(0, end));
    if (end == std::string_view::npos) return result;
    result += text[end];
    text.remove_prefix(end + 1);
  }
}

std::size_t displayWidth(std::string_view line) {
  std::size_t width = 0;
  while (!line.empty()) {
    const char32_t c = takeCharacter(line);
    width += within(c, kNoWidth) ? 0 : within(c, kWide) ? 2 : 1;
  }
  return width;
}

std::string table(const std::vector<std::vector<std::string>>& rows,
                  const std::vector<Align>& aligns) {
  std::string result;
  writeTable(
      rows.size(), [&](std::size_t row) { return rows[row]; }, aligns,
      [&](std::string_view line) { result += line; });
  return result;
}

void writeTable(std::size_t rows,
                const std::function<std::vector<std::string>(std::size_t row)>& rowOf,
                const std::vector<Align>& aligns, const Write& write) {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < rows; ++i) {
    const auto row = rowOf(i);
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t column = 0; column < row.size(); ++column) {
      widths[column] = std::max(widths[column], displayWidth(escaped(row[column])));
    }
  }
  for (std::size_t i = 0; i < rows; ++i) {
    const auto row = rowOf(i);
    std::string line;
    for (std::size_t column = 0; column < row.size(); ++column) {
      const std::string cell = escaped(row[column]);
      const std::string padding(widths[column] - displayWidth(cell), ' ');
      const bool right = column < aligns.size() && aligns[column] == Align::right;
      if (column > 0) line += "  ";
      if (right) line += padding;
      line += cell;
      if (!right && column + 1 < row.size()) line += padding;
    }
    write(line + '\n');
  }
}

std::string listed(const std::vector<std::string>& names) {
  std::string result;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) result += i + 1 == names.size() ? " and " : ", ";
    result += escaped(names[i]);
  }
  return result;
}

}  // namespace espalier::command
