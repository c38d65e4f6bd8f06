#include "common/command/config_file.h"

#include <Poco/Exception.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <utility>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/command/words.h"

namespace espalier::command {
namespace {

constexpr std::string_view kBlanks = " \t\r";
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// Removes a comment that begins behind a blank.
std::string_view withoutComment(std::string_view text) {
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '#' && kBlanks.find(text[i - 1]) != kBlanks.npos) return text.substr(0, i);
  }
  return text;
}

Error mistake(std::string_view why) {
  return {ErrorCode::configuration, std::string(why)};
}

// `text` begins with the opening quote.
Result<std::string> quoted(std::string_view text) {
  std::string value;
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '"') {
      const auto rest = text.substr(i + 1);
      if (const auto more = trimmed(withoutComment(rest)); !more.empty()) {
        return mistake(fmt::format("\"{}\" follows the closing quote", escaped(more)));
      }
      return value;
    }
    if (text[i] == '\\' && i + 1 < text.size()) {
      ++i;
      if (text[i] != '"' && text[i] != '\\') {
        const std::string escape(1, text[i]);
        return mistake(
            fmt::format("\\{} is no escape in quotes: only \\\" and \\\\ are", escaped(escape)));
      }
    }
    value += text[i];
  }
  return mistake("the quote that opens the value is not closed");
}

Result<std::string> valueOf(std::string_view text) {
  const auto begin = text.find_first_not_of(kBlanks);
  if (begin != std::string_view::npos && text[begin] == '"') return quoted(text.substr(begin));
  return std::string(trimmed(withoutComment(text)));
}

}  // namespace

Error configError(const std::string& path, int line, std::string_view why) {
  return {ErrorCode::configuration, fmt::format("{}:{}: {}", escaped(path), line, why)};
}

Result<std::vector<Setting>> parseConfig(std::string_view text, const std::string& path) {
  std::vector<Setting> settings;
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  for (int number = 1; !text.empty(); ++number) {
    const auto end = text.find('\n');
    const auto line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    const auto content = trimmed(line);
    if (content.empty() || content.front() == '#') continue;
    const auto equals = content.find('=');
    if (equals == std::string_view::npos) {
      return configError(path, number,
                         fmt::format("\"{}\" is not of the form name = value", escaped(content)));
    }
    const auto name = trimmed(content.substr(0, equals));
    auto value = valueOf(content.substr(equals + 1));
    if (!value) {
      return configError(path, number, fmt::format("{}: {}", escaped(name), value.error().message));
    }
    settings.push_back({number, std::string(name), std::move(*value)});
  }
  return settings;
}

Result<std::vector<Setting>> readConfig(const std::string& path) {
  const auto failed = [&](std::string_view what) {
    return Error{
        ErrorCode::configuration,
        systemError(fmt::format("cannot {} the configuration file {}", what, escaped(path)), errno)
            .message};
  };
  std::ifstream file(path, std::ios::binary);
  if (!file) return failed("open");
  std::string text(limits::kConfigBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad() || (file.fail() && !file.eof())) return failed("read");
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > limits::kConfigBytes) {
    return Error{ErrorCode::configuration,
                 fmt::format("{} is larger than a configuration file may be, {}", escaped(path),
                             formatSize(limits::kConfigBytes))};
  }
  return parseConfig(text, path);
}

FileConfiguration::FileConfiguration(std::vector<Setting> settings)
    : settings_(std::move(settings)) {}

bool FileConfiguration::getRaw(const std::string& key, std::string& value) const {
  const auto found = std::find_if(settings_.rbegin(), settings_.rend(),
                                  [&](const Setting& setting) { return setting.name == key; });
  if (found == settings_.rend()) return false;
  value = found->value;
  return true;
}

void FileConfiguration::setRaw(const std::string& key, const std::string&) {
  throw Poco::InvalidAccessException("a configuration file is read-only", key);
}

void FileConfiguration::enumerate(const std::string& key, Keys& range) const {
  range.clear();
  if (!key.empty()) return;  // names have no parts
  for (const auto& setting : settings_) range.push_back(setting.name);
}

}  // namespace espalier::command
