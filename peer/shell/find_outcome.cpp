#include "peer/shell/find_outcome.h"

#include <fmt/format.h>

#include <utility>

#include "common/base/text.h"
#include "common/command/printing.h"
#include "peer/shell/outcome_parts.h"

namespace espalier::peer::shell {
namespace {

using command::Align;
using command::listed;
using command::table;

// Ids of holders, each once: one id may stand at several endpoints.
struct HolderNames {
  std::vector<std::string> whole;
  std::vector<std::string> partial;
};

HolderNames namesOf(const FoundFile& file) {
  HolderNames names;
  for (const auto& holder : file.holders) {
    auto& ids = holder.partial ? names.partial : names.whole;
    if (ids.empty() || ids.back() != holder.id.text()) ids.push_back(holder.id.text());
  }
  return names;
}

std::string joined(const std::vector<std::string>& names) {
  return fmt::format("{}", fmt::join(names, " "));
}

std::string holdersText(const FoundFile& file) {
  const auto names = namesOf(file);
  std::string text = joined(names.whole);
  if (!names.partial.empty()) {
    text += fmt::format("{}(in part: {})", text.empty() ? "" : " ", joined(names.partial));
  }
  return text;
}

std::string missingName(const MissingPeer& missing) {
  if (missing.below == 0) return missing.id.text();
  if (missing.answered) return fmt::format("{} below {}", missing.below, missing.id.text());
  return fmt::format("{} and {} below it", missing.id.text(), missing.below);
}

}  // namespace

Json hitData(const FoundFile& file) {
  const auto names = namesOf(file);
  Json data = fileData(file.name, file.sizeBytes, file.root);
  data["holders"] = names.whole;
  if (!names.partial.empty()) data["partial"] = names.partial;
  return data;
}

std::vector<std::string> missingNames(const SearchResult& result) {
  std::vector<std::string> names;
  for (const auto& each : result.missing) names.push_back(missingName(each));
  if (result.missingUnnamed > 0) names.push_back(fmt::format("{} more", result.missingUnnamed));
  return names;
}

std::string coverage(const SearchResult& result) {
  std::string text =
      fmt::format("searched {} of {}", result.searched, counted(result.members, "peer"));
  if (result.beyond > 0) text += fmt::format(" and {} beyond", result.beyond);
  if (const auto missing = missingNames(result); !missing.empty()) {
    text += "; no answer from " + listed(missing);
  }
  if (!result.indexing.empty()) {
    text += fmt::format("; {} {} still indexing", listed(textsOf(result.indexing)),
                        result.indexing.size() == 1 ? "is" : "are");
  }
  return text;
}

void addMembers(Json& data, const FindOutcome& outcome) {
  const SearchResult& result = outcome.result;
  data["hits"] = Json::array();
  data["searched"] = result.searched;
  data["peers"] = result.members;
  if (result.beyond > 0) data["beyond"] = result.beyond;
  data["missing"] = missingNames(result);
  if (!result.indexing.empty()) data["indexing"] = textsOf(result.indexing);
  if (result.moreHits > 0) data["more"] = result.moreHits;
}

const char* entriesNameOf(const FindOutcome& /*outcome*/) {
  return "hits";
}

void eachEntryOf(const FindOutcome& outcome, const command::EachEntry& each) {
  for (const auto& file : outcome.result.files) each(hitData(file));
}

void writeTextOf(const FindOutcome& outcome, const command::Write& write) {
  if (outcome.failed) return;
  const SearchResult& result = outcome.result;
  const auto rowOf = [&](std::size_t row) -> std::vector<std::string> {
    const FoundFile& file = result.files[row];
    return {file.name, formatSize(file.sizeBytes), holdersText(file), toHex(file.root.view())};
  };
  command::writeTable(result.files.size(), rowOf, {Align::left, Align::right, Align::left}, write);
  write(fmt::format("{}, {}\n", counted(result.files.size(), "file"), coverage(result)));
  if (result.moreHits > 0) {
    write(fmt::format("{} more match: a narrower pattern shows them\n", result.moreHits));
  }
}

std::string candidatesText(const std::vector<FoundFile>& files) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& file : files) {
    rows.push_back({std::to_string(rows.size() + 1), file.name, formatSize(file.sizeBytes),
                    joined(namesOf(file).whole), toHex(file.root.view())});
  }
  return table(rows, {Align::right, Align::left, Align::right, Align::left});
}

}  // namespace espalier::peer::shell
