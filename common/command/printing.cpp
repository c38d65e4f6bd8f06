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
  std::vector<std::vector<std::string>> cells;
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    auto& line = cells.emplace_back();
    for (std::size_t column = 0; column < row.size(); ++column) {
      line.push_back(escaped(row[column]));
      if (widths.size() <= column) widths.push_back(0);
      widths[column] = std::max(widths[column], displayWidth(line.back()));
    }
  }
  std::string result;
  for (const auto& line : cells) {
    for (std::size_t column = 0; column < line.size(); ++column) {
      const std::string padding(widths[column] - displayWidth(line[column]), ' ');
      const bool right = column < aligns.size() && aligns[column] == Align::right;
      if (column > 0) result += "  ";
      if (right) result += padding;
      result += line[column];
      if (!right && column + 1 < line.size()) result += padding;
    }
    result += '\n';
  }
  return result;
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
