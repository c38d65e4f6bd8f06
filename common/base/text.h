// Makes text from the network, from files and from users safe to print, and formats quantities for
// people. Pure functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace espalier {

// Whether `text` is well-formed UTF-8 (no overlong forms, surrogates or code points past U+10FFFF).
bool isUtf8(std::string_view text);

// The beginning of `text`, at most that many bytes, not cut within a character.
std::string_view cutUtf8(std::string_view text, std::size_t mostBytes);

// The first code point that no name may have: white space (also Unicode's), a control character,
// or one that shows nothing (common/base/invisible.h). `text` is UTF-8.
std::optional<char32_t> findUnseen(std::string_view text);

// The same text with control characters, invalid UTF-8 and invisible characters as \n, \t, \xNN or
// \u{NNNN}, and the backslash doubled: safe for a terminal and for the log. Text without any of
// these is unchanged. Joiners and variation selectors stay where they shape the character before
// them: behind one that is visible and not ASCII.
std::string escaped(std::string_view text);

// Compact JSON text that is safe to print and still the same JSON: control (but the line feed) and
// bidirectional characters as \uXXXX, malformed UTF-8 as U+FFFD.
std::string escapedJson(std::string_view json);

// 12 B · 3.1 MB · 1.0 GB (powers of 1000, as disks and networks are sold).
std::string formatSize(std::uint64_t bytes);
// 3.1 MB/s
std::string formatRate(double bytesPerSecond);
// 0.01 s · 12 s · 3 min 20 s · 2 h 5 min
std::string formatDuration(std::chrono::nanoseconds duration);
// 1 file · 4 files
std::string counted(std::uint64_t count, std::string_view singular, std::string_view plural = {});

}  // namespace espalier
