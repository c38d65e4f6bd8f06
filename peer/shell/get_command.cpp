#include "peer/shell/get_command.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/command/printing.h"
#include "peer/core/pattern.h"
#include "peer/shell/fetch_choice.h"
#include "peer/shell/render.h"

namespace espalier::peer::shell {

using command::Context;
using command::Outcome;

namespace {

Error interrupted() {
  return {ErrorCode::interrupted, "interrupted"};
}

bool isFolder(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

Error notFound(const std::string& name, const SearchResult& result) {
  const bool complete = result.missing.empty() && result.missingUnnamed == 0;
  return {complete ? ErrorCode::failed : ErrorCode::timeout,
          fmt::format("{}: not found ({})", escaped(name), coverage(findData(result)))};
}

// A glob that matches this very text.
std::string literalGlob(const std::string& text) {
  std::string glob;
  for (const char c : text) {
    if (c == '*' || c == '?' || c == '[' || c == '\\') glob += '\\';
    glob += c;
  }
  return glob;
}

}  // namespace

// One `get`: what it has come to so far.
struct GetCommand::Run {
  Context& context;
  std::optional<std::string> output;
  bool force = false;
  bool outputIsFolder = false;
  Json files = Json::array();
  Json errors = Json::array();
  Json candidates;
  std::vector<Error> failures;
  std::string typed = {};  // all names, with '/' between them

  void fail(const std::string& name, const Error& error) {
    Json data;
    data["name"] = name;
    data.update(command::errorData(error));
    errors.push_back(std::move(data));
    failures.push_back(error);
  }

  Destination destination() const {
    if (!output) return {Destination::Form::downloads, {}, typed};
    return {outputIsFolder ? Destination::Form::folder : Destination::Form::file,
            localPath(context, *output)};
  }
};

GetCommand::GetCommand(PeerService& service, CommandSettings settings)
    : service_(service),
      settings_(settings),
      complete_(std::make_shared<std::atomic<bool>>(settings.total == 0)) {}

Result<void> GetCommand::awaitTotal(Context& context) const {
  if (*complete_) return {};
  const auto waited =
      service_.awaitMembers(settings_.total, context.stop, [&](std::uint64_t members) {
        if (members >= settings_.total || !context.say) return;
        context.say(fmt::format("waiting for {} more of {} to join", settings_.total - members,
                                counted(settings_.total, "peer")));
      });
  if (waited) *complete_ = true;
  return waited;
}

Result<std::vector<FoundFile>> GetCommand::resolve(const std::string& name, Run& run) const {
  std::vector<PatternKind> kinds = {PatternKind::path};
  if (name.find_first_of("*?[") != std::string::npos) kinds.push_back(PatternKind::glob);
  if (parseFileRoot(name)) kinds.push_back(PatternKind::root);
  std::optional<SearchResult> last;
  for (const auto kind : kinds) {
    auto found = search(kind, name, run);
    if (!found) return found.error();
    if (!found->files.empty()) return std::move(found->files);
    last = std::move(*found);
  }
  return notFound(name, *last);
}

Result<SearchResult> GetCommand::search(PatternKind kind, const std::string& text, Run& run) const {
  const auto onHits = [&](std::uint64_t, std::uint64_t searched) {
    if (run.context.progress) {
      run.context.progress({"searching for " + text, searched, 0, command::Unit::items});
    }
  };
  auto found = service_.find({kind, text}, run.context.stop, onHits);
  if (found && run.context.stop.stop_requested()) return interrupted();
  // What is saved is what was asked for, whoever let something else through.
  const auto pattern = Pattern::compile(kind, text);
  if (!pattern) return pattern.error();
  if (found) {
    std::erase_if(found->files, [&](const auto& f) { return !pattern->matches(f.name, f.root); });
  }
  return found;
}

// A search tells 200 names a holder at most: who has more is asked for its list.
Result<std::vector<FoundFile>> GetCommand::filesBelow(const std::string& folder, Run& run) const {
  auto found = search(PatternKind::glob, literalGlob(folder) + "*", run);
  if (!found) return found.error();
  if (found->files.empty()) return notFound(folder, *found);
  if (found->moreHits == 0) return std::move(found->files);
  std::set<Holder> holders;
  for (const auto& file : found->files) holders.insert(file.holders.begin(), file.holders.end());
  std::map<std::pair<std::string, FileRoot>, FoundFile> files;
  for (const auto& holder : holders) {
    auto listed = service_.filesBelow(holder, folder, run.context.stop);
    if (run.context.stop.stop_requested()) return interrupted();
    if (!listed) {
      run.fail(folder + " of " + holder.id.text(), listed.error());
      continue;
    }
    for (auto& file : *listed) {
      if (files.size() == limits::kManyFiles) {
        return Error{ErrorCode::failed, escaped(folder) + ": more files than one get takes"};
      }
      auto& entry = files[{file.name, file.root}];
      if (entry.holders.empty()) entry = {file.name, file.sizeBytes, file.root, {}};
      entry.holders.push_back(holder);
    }
  }
  std::vector<FoundFile> result;
  for (auto& [key, file] : files) result.push_back(std::move(file));
  return result;
}

void GetCommand::fetchFolder(const std::string& folder, Run& run) const {
  Result<std::vector<FoundFile>> found =
      Error{ErrorCode::usage, fmt::format("{} is a folder: -o must be one, too", escaped(folder))};
  if (!run.output || run.outputIsFolder) found = filesBelow(folder, run);
  if (!found) return run.fail(folder, found.error());
  std::map<std::string, std::vector<FoundFile>> byName;
  for (auto& file : *found) byName[file.name].push_back(std::move(file));
  std::vector<FetchRequest> requests;
  for (auto& [name, files] : byName) {
    if (run.context.stop.stop_requested()) return run.fail(folder, interrupted());
    auto request = choose(byRoot(std::move(files)), name, run);
    if (request) {
      requests.push_back(std::move(*request));
    } else {
      run.fail(name, request.error());
    }
  }
  std::vector<std::optional<Result<Fetched>>> ended(requests.size());
  service_.fetchMany(
      requests, run.context.stop, run.context.progress,
      [&](std::size_t i, Result<Fetched> fetched) { ended[i] = std::move(fetched); });
  for (std::size_t i = 0; i < ended.size(); ++i) {
    if (ended[i] && *ended[i]) {
      run.files.push_back(fetchedData(**ended[i]));
    } else {
      run.fail(requests[i].file.name, ended[i] ? ended[i]->error() : interrupted());
    }
  }
}

Result<FetchRequest> GetCommand::choose(std::vector<FetchRequest> files, const std::string& name,
                                        Run& run) const {
  std::size_t chosen = 0;
  if (files.size() > 1) {
    Json candidates = Json::array();
    for (const auto& one : files) candidates.push_back(hitData(one.file));
    const auto what = fmt::format("{} stands for {} different files", escaped(name), files.size());
    if (!run.context.ask) {
      if (run.candidates.is_null()) run.candidates = Json::array();
      for (auto& candidate : candidates) run.candidates.push_back(std::move(candidate));
      return Error{ErrorCode::failed, what + ": get one of them by its root"};
    }
    const auto which = askWhich(fmt::format("{}:\n{}which one (1 to {}, Enter for none)> ", what,
                                            candidatesText(candidates), files.size()),
                                files.size(), name, run.context);
    if (!which) return which.error();
    chosen = *which;
  }
  FetchRequest request = std::move(files[chosen]);
  request.destination = run.destination();
  request.force = run.force;
  return request;
}

// The name that a file found by its root is saved as: the user's choice where there are several,
// else the one that most holders have.
Result<std::string> GetCommand::nameOf(const std::string& root, const std::vector<FoundFile>& files,
                                       Run& run) const {
  if (run.output && !run.outputIsFolder) return files.front().name;  // -o says it
  const auto names = plainNames(files);
  if (names.empty()) {
    return Error{ErrorCode::failed,
                 root + ": no holder has a name for it that can be used: -o PATH gives one"};
  }
  if (names.size() == 1 || !run.context.ask) return names.front();
  const auto which = askWhich(whichName(root, names), names.size(), root, run.context);
  if (!which) return which.error();
  return names[*which];
}

void GetCommand::fetchAll(const std::string& name, Run& run) const {
  if (name.size() > 1 && name.ends_with('/')) return fetchFolder(name, run);
  auto found = resolve(name, run);
  if (!found) return run.fail(name, found.error());
  std::map<std::string, std::vector<FoundFile>> byName;
  if (parseFileRoot(name) && found->front().name != name) {
    auto saveAs = nameOf(name, *found, run);
    if (!saveAs) return run.fail(name, saveAs.error());
    for (auto& file : *found) file.name = *saveAs;
    byName[*saveAs] = std::move(*found);  // one content, whatever it is called
  } else {
    for (auto& file : *found) byName[file.name].push_back(std::move(file));
  }
  if (byName.size() > 1 && run.output && !run.outputIsFolder) {
    return run.fail(
        name, {ErrorCode::usage, fmt::format("{} stands for {} files: -o must be a folder then",
                                             escaped(name), byName.size())});
  }
  for (auto& [fileName, files] : byName) {
    if (run.context.stop.stop_requested()) return run.fail(fileName, interrupted());
    const auto request = choose(byRoot(std::move(files)), fileName, run);
    if (!request) {
      run.fail(fileName, request.error());
      continue;
    }
    const auto fetched = service_.fetch(*request, run.context.stop, run.context.progress);
    if (fetched) {
      run.files.push_back(fetchedData(*fetched));
    } else {
      run.fail(fileName, fetched.error());
    }
  }
}

Outcome GetCommand::run(const std::vector<std::string>& names,
                        const std::optional<std::string>& output, bool force,
                        Context& context) const {
  Run run{context, output, force, false, Json::array(), Json::array(), Json(), {}};
  run.typed = fmt::format("{}", fmt::join(names, "/"));
  if (output) {
    run.outputIsFolder = output->ends_with('/') || isFolder(localPath(context, *output));
    if (names.size() > 1 && !run.outputIsFolder) {
      return Outcome::failed(
          "get",
          {ErrorCode::usage,
           fmt::format("get: {} is no folder, where several files could go", escaped(*output))});
    }
  }
  if (const auto waited = awaitTotal(context); !waited) {
    return Outcome::failed("get", waited.error());
  }
  for (const auto& name : names) {
    if (context.stop.stop_requested()) {
      run.fail(name, interrupted());
      break;
    }
    fetchAll(name, run);
  }
  Outcome outcome;
  outcome.data["command"] = "get";
  if (!run.files.empty() || run.failures.empty()) outcome.data["files"] = std::move(run.files);
  if (run.failures.empty()) return outcome;
  const auto stopped =
      std::find_if(run.failures.begin(), run.failures.end(),
                   [](const Error& error) { return error.code == ErrorCode::interrupted; });
  Error error = stopped != run.failures.end() ? *stopped : run.failures.front();
  const bool partly = outcome.data.contains("files") && stopped == run.failures.end();
  if (partly) error = {ErrorCode::partial, "partly done"};
  outcome.exitCode = exitCode(error.code);
  outcome.data["error"] = command::errorData(error);
  if (partly || run.failures.size() > 1) outcome.data["errors"] = std::move(run.errors);
  if (!run.candidates.is_null()) outcome.data["candidates"] = std::move(run.candidates);
  return outcome;
}

}  // namespace espalier::peer::shell
