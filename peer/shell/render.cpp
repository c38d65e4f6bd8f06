#include "peer/shell/render.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/text.h"
#include "common/command/printing.h"

namespace espalier::peer::shell {
namespace {

using command::Align;
using command::listed;
using command::table;

std::vector<std::string> strings(const Json& array) {
  std::vector<std::string> result;
  for (const auto& each : array) result.push_back(each.get<std::string>());
  return result;
}

std::string joined(const Json& array) {
  std::string result;
  for (const auto& each : array) {
    if (!result.empty()) result += ' ';
    result += each.get<std::string>();
  }
  return result;
}

std::string size(const Json& file) {
  return formatSize(file["size"].get<std::uint64_t>());
}

std::chrono::nanoseconds nanoseconds(double seconds) {
  return std::chrono::nanoseconds(static_cast<std::int64_t>(seconds * 1e9));
}

std::string missingName(const MissingPeer& missing) {
  if (missing.below == 0) return missing.id.text();
  if (missing.answered) return fmt::format("{} below {}", missing.below, missing.id.text());
  return fmt::format("{} and {} below it", missing.id.text(), missing.below);
}

Json idsData(const std::vector<PeerId>& ids) {
  Json data = Json::array();
  for (const auto& id : ids) data.push_back(id.text());
  return data;
}

Json fileData(const std::string& name, std::uint64_t sizeBytes, const FileRoot& root) {
  Json data;
  data["name"] = name;
  data["size"] = sizeBytes;
  data["root"] = toHex(root.view());
  return data;
}

}  // namespace

Json hitData(const FoundFile& file) {
  Json data = fileData(file.name, file.sizeBytes, file.root);
  data["holders"] = Json::array();
  Json partial = Json::array();
  for (const auto& holder : file.holders) {
    Json& ids = holder.partial ? partial : data["holders"];
    // One id may stand at several endpoints.
    if (ids.empty() || ids.back() != holder.id.text()) ids.push_back(holder.id.text());
  }
  if (!partial.empty()) data["partial"] = std::move(partial);
  return data;
}

Json findData(const SearchResult& result) {
  Json data;
  data["command"] = "find";
  data["hits"] = Json::array();
  for (const auto& file : result.files) data["hits"].push_back(hitData(file));
  data["searched"] = result.searched;
  data["peers"] = result.members;
  data["missing"] = Json::array();
  for (const auto& each : result.missing) data["missing"].push_back(missingName(each));
  if (result.missingUnnamed > 0) {
    data["missing"].push_back(fmt::format("{} more", result.missingUnnamed));
  }
  if (!result.indexing.empty()) data["indexing"] = idsData(result.indexing);
  if (result.moreHits > 0) data["more"] = result.moreHits;
  return data;
}

Json fetchedData(const Fetched& fetched) {
  Json data = fileData(fetched.name, fetched.sizeBytes, fetched.root);
  data["path"] = fetched.path;
  data["sources"] = idsData(fetched.sources);
  data["seconds"] = fetched.seconds;
  return data;
}

Json listData(const ShareReport& report) {
  Json data;
  data["command"] = "list";
  data["peer"] = report.peer.text();
  data["files"] = Json::array();
  for (const auto& file : report.files) {
    data["files"].push_back(fileData(file.name, file.sizeBytes, file.root));
  }
  if (report.indexing) data["indexing"] = true;
  if (report.more > 0) data["more"] = report.more;
  return data;
}

Json linksData(const std::vector<LinkedPeer>& links) {
  Json data;
  data["command"] = "peers";
  data["links"] = Json::array();
  for (const auto& link : links) {
    Json entry;
    entry["id"] = link.id.text();
    entry["role"] = link.role == Role::parent ? "parent" : "child";
    data["links"].push_back(std::move(entry));
  }
  return data;
}

Json shareChangeData(std::string_view command, const ShareChange& change) {
  Json data;
  data["command"] = command;
  data["path"] = change.path;
  data["files"] = change.files;
  if (change.indexing) data["indexing"] = true;
  for (const auto& each : change.left) {
    data["notShared"].push_back(
        {{"why", each.why}, {"count", each.count}, {"example", each.example}});
  }
  return data;
}

std::string coverage(const Json& data) {
  std::string text = fmt::format("searched {} of {}", data["searched"].get<std::uint64_t>(),
                                 counted(data["peers"].get<std::uint64_t>(), "peer"));
  if (const auto missing = strings(data["missing"]); !missing.empty()) {
    text += "; no answer from " + listed(missing);
  }
  if (data.contains("indexing")) {
    const auto indexing = strings(data["indexing"]);
    text += fmt::format("; {} {} still indexing", listed(indexing),
                        indexing.size() == 1 ? "is" : "are");
  }
  return text;
}

std::string findText(const Json& data) {
  // Nothing found: the error's sentence has the coverage.
  if (!data.contains("hits") || data.contains("error")) return {};
  std::vector<std::vector<std::string>> rows;
  for (const auto& hit : data["hits"]) {
    auto holders = joined(hit["holders"]);
    if (hit.contains("partial")) {
      holders +=
          (holders.empty() ? "" : " ") + fmt::format("(in part: {})", joined(hit["partial"]));
    }
    rows.push_back({hit["name"], size(hit), holders, hit["root"]});
  }
  std::string text = table(rows, {Align::left, Align::right, Align::left});
  text += fmt::format("{}, {}\n", counted(rows.size(), "file"), coverage(data));
  if (data.contains("more")) {
    text += fmt::format("{} more are there: a narrower pattern shows them\n",
                        data["more"].get<std::uint64_t>());
  }
  return text;
}

std::string candidatesText(const Json& candidates) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& each : candidates) {
    rows.push_back({std::to_string(rows.size() + 1), each["name"], size(each),
                    joined(each["holders"]), each["root"]});
  }
  return table(rows, {Align::right, Align::left, Align::right, Align::left});
}

// Beyond that many a line each tells nobody anything.
constexpr std::size_t kFilesNamed = 100;

std::string getText(const Json& data) {
  std::string text;
  if (data.contains("shared")) {
    text += fmt::format("others can fetch your {} at any time\n",
                        counted(data["shared"].get<std::uint64_t>(), "file"));
  }
  if (data.contains("files") && data["files"].size() > kFilesNamed) {
    std::uint64_t bytes = 0;
    for (const auto& file : data["files"]) bytes += file["size"].get<std::uint64_t>();
    text += fmt::format("{} ({}), verified and saved\n", counted(data["files"].size(), "file"),
                        formatSize(bytes));
  } else if (data.contains("files")) {
    for (const auto& file : data["files"]) {
      const auto name = escaped(file["name"].get<std::string>());
      const auto path = escaped(file["path"].get<std::string>());
      const auto sources = strings(file["sources"]);
      if (sources.empty()) {
        text += fmt::format("{}: {}, already there as {}\n", name, size(file), path);
        continue;
      }
      text += fmt::format("{}: {} from {}, verified, saved as {}", name, size(file),
                          listed(sources), path);
      const double seconds = file["seconds"].get<double>();
      if (seconds >= 1) {
        text += fmt::format(" in {}, {}", formatDuration(nanoseconds(seconds)),
                            formatRate(file["size"].get<double>() / seconds));
      }
      text += '\n';
    }
  }
  if (data.contains("candidates")) text += candidatesText(data["candidates"]);
  return text;
}

std::string listText(const Json& data) {
  if (!data.contains("files")) return {};
  std::vector<std::vector<std::string>> rows;
  std::uint64_t total = 0;
  for (const auto& file : data["files"]) {
    rows.push_back({size(file), file["name"]});
    total += file["size"].get<std::uint64_t>();
  }
  std::string text = table(rows, {Align::right});
  text += fmt::format("{} shares {} ({})", escaped(data["peer"].get<std::string>()),
                      counted(rows.size(), "file"), formatSize(total));
  if (data.contains("more")) text += fmt::format(" and {} more", data["more"].get<std::uint64_t>());
  if (data.contains("indexing")) text += ", and is still indexing";
  return text + "\n";
}

std::string linksText(const Json& data) {
  if (!data.contains("links")) return {};
  if (data["links"].empty()) return "no links\n";
  std::vector<std::vector<std::string>> rows;
  for (const auto& link : data["links"]) rows.push_back({link["id"], link["role"]});
  return table(rows);
}

std::string shareChangeText(const Json& data) {
  if (!data.contains("path")) return {};
  const auto path = escaped(data["path"].get<std::string>());
  const auto files = counted(data["files"].get<std::uint64_t>(), "file");
  const bool indexing = data.contains("indexing");
  if (data["command"] == "unshare") {
    return fmt::format("{}: no longer shared, {}{}\n", path, files, indexing ? " so far" : "");
  }
  std::string text =
      fmt::format("{}: shared, {}{}\n", path, files, indexing ? " so far, still indexing" : "");
  if (!data.contains("notShared")) return text;
  for (const auto& each : data["notShared"]) {
    const auto others = each["count"].get<std::uint64_t>() - 1;
    text += fmt::format("not shared: {}{} {}\n", escaped(each["example"].get<std::string>()),
                        others == 0 ? "" : " and " + counted(others, "other"),
                        each["why"].get<std::string>());
  }
  return text;
}

}  // namespace espalier::peer::shell
