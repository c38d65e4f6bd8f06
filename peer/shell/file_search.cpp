#include "peer/shell/file_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/command/printing.h"
#include "peer/core/pattern.h"
#include "peer/shell/find_outcome.h"

namespace espalier::peer::shell {
namespace {

constexpr std::string_view kSpecial = "*?[";
// So many holders whose list cannot be read; after them no more are asked.
constexpr std::size_t kUnlistedMost = 16;  // tuning

Error searchInterrupted() {
  return {ErrorCode::interrupted, "interrupted"};
}

// The literal text with which every match of a glob begins. It ends before the first character that
// a name may have in another composition: one beyond ASCII, or one with a combining mark.
std::string literalPrefix(const std::string& glob) {
  std::string prefix;
  for (std::size_t i = 0; i < glob.size() && kSpecial.find(glob[i]) == kSpecial.npos; ++i) {
    if (glob[i] == '\\' && ++i == glob.size()) break;
    if (static_cast<unsigned char>(glob[i]) >= 0x80) {
      if (!prefix.empty()) prefix.pop_back();
      break;
    }
    prefix += glob[i];
  }
  return prefix;
}

// Files by name, root and size, with their holders. A file in several lists or answers is in it
// once.
class FileTable {
 public:
  void add(std::string name, std::uint64_t size, const FileRoot& root, const Holder& holder) {
    files_[{std::move(name), root, size}].insert(holder);
  }
  std::size_t size() const { return files_.size(); }
  // All of them; the table is empty then. There may be 100,000.
  std::vector<FoundFile> take() {
    std::vector<FoundFile> result;
    result.reserve(files_.size());
    while (!files_.empty()) {
      auto file = files_.extract(files_.begin());
      auto& [name, root, size] = file.key();
      const auto& holders = file.mapped();
      result.push_back({std::move(name), size, root, {holders.begin(), holders.end()}});
    }
    return result;
  }

 private:
  std::map<std::tuple<std::string, FileRoot, std::uint64_t>, std::set<Holder>> files_;
};

}  // namespace

std::string literalGlob(const std::string& text) {
  std::string glob;
  for (const char c : text) {
    if (c == '*' || c == '?' || c == '[' || c == '\\') glob += '\\';
    glob += c;
  }
  return glob;
}

// --- what is missing

bool Matches::isAll() const {
  if (kind == PatternKind::root && !result.files.empty()) return true;
  const bool hasMore = result.moreHits > 0 && !isFoundPath();
  return result.missing.empty() && result.missingUnnamed == 0 && !hasMore && unlisted.empty() &&
         indexing().empty();
}

std::vector<PeerId> Matches::indexing() const {
  if (isFoundPath()) return {};
  auto others = result.indexing;
  std::erase(others, self);
  return others;
}

std::string Matches::coverage() const {
  std::string text = shell::coverage(result);
  for (const auto& each : unlisted) text += "; " + each;
  if (unlisted.empty() && result.moreHits > 0) {
    text += fmt::format("; {} more {} there", result.moreHits, result.moreHits == 1 ? "is" : "are");
  }
  return text;
}

std::vector<std::string> Matches::missing() const {
  auto names = missingNames(result);
  names.insert(names.end(), unlisted.begin(), unlisted.end());
  for (const auto& peer : indexing()) names.push_back(peer.text() + ": still indexing");
  return names;
}

Error Matches::notFound(const std::string& name) const {
  return {isAll() ? ErrorCode::failed : ErrorCode::timeout,
          fmt::format("{}: not found ({})", escaped(name), coverage())};
}

// --- searching

Result<Matches> FileSearch::search(PatternKind kind, const std::string& text,
                                   const SearchService::OnHits& onHits) const {
  auto found = searches_.find({kind, text}, context_.stop, onHits);
  if (!found) return found.error();
  // Peers may send hits that do not match the query: they are dropped.
  const auto asked = Pattern::compile(kind, text);
  if (!asked) return asked.error();
  std::erase_if(found->files,
                [&](const FoundFile& file) { return !asked->matches(file.name, file.root); });
  Matches matches{kind, text, std::move(*found), self_, {}};
  if (kind == PatternKind::path) {
    auto& files = matches.result.files;
    const auto isTyped = [&](const FoundFile& file) { return file.name == text; };
    if (std::any_of(files.begin(), files.end(), isTyped)) {
      std::erase_if(files, std::not_fn(isTyped));
    }
  }
  return matches;
}

// The first kind that finds anything, else the last one.
Result<Matches> FileSearch::first(const std::vector<PatternKind>& kinds, const std::string& text,
                                  const SearchService::OnHits& onHits) const {
  for (const auto kind : kinds) {
    auto matches = search(kind, text, onHits);
    const bool last = kind == kinds.back() || context_.stop.stop_requested();
    if (!matches || last || !matches->result.files.empty()) return matches;
  }
  return Error{ErrorCode::usage, "nothing to search for"};
}

Result<Matches> FileSearch::named(const std::string& name) const {
  std::vector<PatternKind> kinds = {PatternKind::path};
  if (name.find_first_of(kSpecial) != std::string::npos) kinds.push_back(PatternKind::glob);
  if (parseFileRoot(name)) kinds.push_back(PatternKind::root);
  const auto onHits = [&](std::uint64_t, std::uint64_t searched) {
    if (!context_.progress) return;
    context_.progress({"searching for " + name, searched, 0, command::Unit::items});
  };
  auto matches = first(kinds, name, onHits);
  if (matches && context_.stop.stop_requested()) return searchInterrupted();
  return matches;
}

Result<Matches> FileSearch::pattern(const std::string& text,
                                    const SearchService::OnHits& onHits) const {
  const auto kind = Pattern::kindOf(text);
  if (kind == PatternKind::glob) return first({PatternKind::path, kind}, text, onHits);
  if (kind != PatternKind::root) return search(kind, text, onHits);
  return first({PatternKind::path, kind, PatternKind::substring}, text, onHits);
}

Result<Matches> FileSearch::below(const std::string& folder) const {
  auto matches = search(PatternKind::glob, literalGlob(folder) + "*", {});
  if (matches && context_.stop.stop_requested()) return searchInterrupted();
  return matches;
}

Result<Matches> FileSearch::completed(Matches matches) const {
  SearchResult& result = matches.result;
  if (result.moreHits == 0 || matches.kind == PatternKind::root || matches.isFoundPath()) {
    return matches;
  }
  const auto pattern = Pattern::compile(matches.kind, matches.text);
  if (!pattern) return pattern.error();
  const std::string prefix =
      matches.kind == PatternKind::glob ? literalPrefix(matches.text) : std::string();
  FileTable table;
  std::map<PeerId, Holder> holders;  // with more hits; with an endpoint if a hit has one
  std::map<PeerId, std::set<Endpoint>> endpoints;
  for (const auto& [id, more] : result.moreOf) holders.emplace(id, Holder{id, {}, false});
  for (const auto& file : result.files) {
    for (const auto& holder : file.holders) {
      table.add(file.name, file.sizeBytes, file.root, holder);
      if (holders.contains(holder.id)) endpoints[holder.id].insert(holder.endpoint);
    }
  }
  // If hits name two endpoints of one holder, one is false. Then the metaserver is asked for it.
  for (const auto& [id, places] : endpoints) {
    if (places.size() == 1) holders.at(id).endpoint = *places.begin();
  }
  std::size_t left = holders.size();
  for (auto& [id, holder] : holders) {
    // A holder out of reach costs some seconds, and any peer may name holders that do not exist.
    if (matches.unlisted.size() == kUnlistedMost) {
      matches.unlisted.push_back(fmt::format("more at {}", counted(left, "other peer")));
      break;
    }
    --left;
    const auto more = result.moreOf.at(id);
    const auto who = fmt::format("{} more at {}", more, escaped(id.text()));
    auto listed = share_.filesBelow(holder, prefix, context_.stop);
    if (context_.stop.stop_requested()) return searchInterrupted();
    if (!listed) {
      matches.unlisted.push_back(fmt::format("{}: {}", who, listed.error().message));
      continue;
    }
    if (holder.endpoint.empty()) holder.endpoint = listed->endpoint;
    auto& files = listed->files;
    std::erase_if(files, [&](const auto& f) { return !pattern->matches(f.name, f.root); });
    // A list that is too long is left out; the lists of other holders still count.
    if (table.size() + files.size() > limits::kManyFiles) {
      matches.unlisted.push_back(
          fmt::format("{}: more than {} files, the most for one get", who, limits::kManyFiles));
      continue;
    }
    for (auto& file : files) table.add(std::move(file.name), file.sizeBytes, file.root, holder);
    if (listed->more > 0) {
      matches.unlisted.push_back(fmt::format(
          "{}: its list has more than {} files, the most that is read", who, limits::kListFiles));
    } else {
      result.moreHits -= std::min(result.moreHits, more);
    }
  }
  result.files = table.take();
  return matches;
}

}  // namespace espalier::peer::shell
