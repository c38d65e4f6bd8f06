#include "peer/shell/get_outcome.h"

#include <fmt/format.h>

#include <utility>

#include "common/base/text.h"
#include "common/command/printing.h"
#include "peer/shell/find_outcome.h"
#include "peer/shell/outcome_parts.h"

namespace espalier::peer::shell {
namespace {

constexpr std::size_t kFilesNamed = 100;  // of more files only the number and the size are shown

Json fetchedData(const Fetched& file) {
  Json data = fileData(file.name, file.sizeBytes, file.root);
  data["path"] = file.path;
  data["sources"] = textsOf(file.sources);
  data["seconds"] = file.seconds;
  return data;
}

std::string fetchedText(const Fetched& file) {
  const auto what = fmt::format("{}: {}", escaped(file.name), formatSize(file.sizeBytes));
  const auto path = escaped(file.path);
  if (file.sources.empty()) return fmt::format("{}, already there as {}\n", what, path);
  auto text = fmt::format("{} from {}, verified, saved as {}", what,
                          command::listed(textsOf(file.sources)), path);
  if (file.seconds >= 1) {
    text += fmt::format(" in {}, {}", secondsText(file.seconds),
                        formatRate(static_cast<double>(file.sizeBytes) / file.seconds));
  }
  return text + "\n";
}

std::string filesText(const std::vector<Fetched>& files) {
  std::string text;
  if (files.size() <= kFilesNamed) {
    for (const auto& file : files) text += fetchedText(file);
    return text;
  }
  std::uint64_t bytes = 0;
  for (const auto& file : files) bytes += file.sizeBytes;
  return fmt::format("{} ({}), verified and saved\n", counted(files.size(), "file"),
                     formatSize(bytes));
}

}  // namespace

void addMembers(Json& data, const GetOutcome& outcome) {
  if (!outcome.files) return;
  data["files"] = Json::array();
}

const char* entriesNameOf(const GetOutcome& /*outcome*/) {
  return "files";
}

void eachEntryOf(const GetOutcome& outcome, const command::EachEntry& each) {
  if (!outcome.files) return;
  for (const auto& file : *outcome.files) each(fetchedData(file));
}

void addMembersBehindErrors(Json& data, const GetOutcome& outcome) {
  if (!outcome.missing.empty()) data["missing"] = outcome.missing;
  for (const auto& file : outcome.candidates) data["candidates"].push_back(hitData(file));
}

std::string textOf(const GetOutcome& outcome) {
  std::string text;
  if (outcome.files) text += filesText(*outcome.files);
  if (!outcome.candidates.empty()) text += candidatesText(outcome.candidates);
  return text;
}

}  // namespace espalier::peer::shell
