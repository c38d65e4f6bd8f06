// Text for a terminal: without control characters, and in columns. Pure functions. Used by
// the command layer, and by the commands of both programs.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace espalier::command {

// `text` with control characters (but the line feed), bidirectional controls and malformed UTF-8
// escaped. Unlike escaped() it does not double backslashes, so text that was escaped before does
// not change.
std::string printable(std::string_view text);

// How many columns a line of UTF-8 takes: two for East Asian wide characters, none for combining
// marks, one for everything else.
std::size_t displayWidth(std::string_view line);

// Takes output, one piece after the other.
using Write = std::function<void(std::string_view piece)>;

enum class Align { left, right };

// Rows as lines of aligned columns with two spaces between them, the last column unpadded. Cells
// are escaped (text.h). Rows may differ in length.
std::string table(const std::vector<std::vector<std::string>>& rows,
                  const std::vector<Align>& aligns = {});
// The same, written line by line. `rowOf` is called twice for each row, so a long table takes no
// memory.
void writeTable(std::size_t rows,
                const std::function<std::vector<std::string>(std::size_t row)>& rowOf,
                const std::vector<Align>& aligns, const Write& write);

// "s1"; "s1 and s2"; "s1, s2 and s3": without the quotes, each name as escaped() (text.h) makes it.
std::string listed(const std::vector<std::string>& names);

}  // namespace espalier::command
