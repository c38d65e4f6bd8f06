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

// The first code point that is not allowed in names: white space (all of Unicode's), a control
// character, or an invisible one (common/base/invisible.h). `text` is UTF-8.
std::optional<char32_t> findUnseen(std::string_view text);

// The same text, safe for a terminal and for the log: control characters, invalid UTF-8 and
// invisible characters become \n, \t, \xNN or \u{NNNN}, and backslashes are doubled. Text without
// any of these is unchanged. Joiners and variation selectors stay behind a character that is
// visible and not ASCII, because they change its form.
std::string escaped(std::string_view text);

// The same JSON, safe to print: control characters (except the line feed) and bidirectional ones
// become \uXXXX, malformed UTF-8 becomes U+FFFD.
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
