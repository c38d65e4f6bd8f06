#include "peer/shell/get_command.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <utility>

#include "common/base/text.h"
#include "common/command/printing.h"
#include "peer/shell/fetch_choice.h"
#include "peer/shell/file_search.h"
#include "peer/shell/find_outcome.h"
#include "peer/shell/get_outcome.h"

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

// Removes this peer's own copy if other peers have a file of that name: the user asks for theirs.
void dropOwnCopies(std::vector<FoundFile>& files, const PeerId& self) {
  const auto isOwn = [&](const FoundFile& file) {
    return std::all_of(file.holders.begin(), file.holders.end(),
                       [&](const Holder& holder) { return holder.id == self; });
  };
  if (!std::all_of(files.begin(), files.end(), isOwn)) std::erase_if(files, isOwn);
}

}  // namespace

// One `get`, and its outcome so far.
struct GetCommand::Run {
  Context& context;
  std::optional<std::string> output;
  bool force = false;
  bool outputIsFolder = false;
  std::string typed = {};  // all names, with '/' between them
  GetOutcome outcome = {};
  std::vector<Fetched> files = {};
  std::vector<command::NamedError> errors = {};

  void fail(const std::string& name, const Error& error) { errors.push_back({name, error}); }

  // Adds the peers that are missing in `matches`, each once.
  void lacks(const Matches& matches) {
    auto& missing = outcome.missing;
    for (auto& peer : matches.missing()) {
      if (std::find(missing.begin(), missing.end(), peer) == missing.end()) {
        missing.push_back(std::move(peer));
      }
    }
  }

  // The outcome of all names together.
  Outcome end() && {
    if (errors.empty()) {
      outcome.files = std::move(files);
      return Outcome::done("get", std::move(outcome));
    }
    const bool hasFiles = !files.empty();
    if (hasFiles) outcome.files = std::move(files);
    const auto stopped = std::find_if(errors.begin(), errors.end(), [](const auto& each) {
      return each.error.code == ErrorCode::interrupted;
    });
    const bool isPartial = hasFiles && stopped == errors.end();
    Error error = stopped != errors.end() ? stopped->error : errors.front().error;
    if (isPartial) error = {ErrorCode::partial, "partly done"};
    if (!isPartial && errors.size() == 1) errors.clear();  // `error` is the one
    return Outcome::done("get", std::move(outcome)).withError(std::move(error), std::move(errors));
  }

  Destination destination() const {
    if (!output) return {Destination::Form::downloads, {}, typed};
    return {outputIsFolder ? Destination::Form::folder : Destination::Form::file,
            localPath(context, *output)};
  }
};

GetCommand::GetCommand(const Services& services, CommandSettings settings)
    : search_(services.search),
      share_(services.share),
      downloads_(services.downloads),
      topology_(services.topology),
      settings_(settings),
      complete_(std::make_shared<std::atomic<bool>>(settings.total == 0)) {}

Result<void> GetCommand::awaitTotal(Context& context) const {
  if (*complete_) return {};
  const auto waited =
      topology_.awaitMembers(settings_.total, context.stop, [&](std::uint64_t members) {
        if (members >= settings_.total || !context.say) return;
        context.say(fmt::format("waiting for {} more of {} to join", settings_.total - members,
                                counted(settings_.total, "peer")));
      });
  if (waited) *complete_ = true;
  return waited;
}

Result<DownloadRequest> GetCommand::choose(std::vector<DownloadRequest> files,
                                           const std::string& name, Run& run) const {
  std::size_t chosen = 0;
  if (files.size() > 1) {
    std::vector<FoundFile> candidates;
    for (const auto& one : files) candidates.push_back(one.file);
    const auto what = fmt::format("{} stands for {} different files", escaped(name), files.size());
    if (!run.context.ask) {
      auto& all = run.outcome.candidates;
      all.insert(all.end(), candidates.begin(), candidates.end());
      return Error{ErrorCode::failed, what + ": get one of them by its root"};
    }
    const auto which = askWhich(fmt::format("{}:\n{}which one (1 to {}, Enter for none)> ", what,
                                            candidatesText(candidates), files.size()),
                                files.size(), name, run.context);
    if (!which) return which.error();
    chosen = *which;
  }
  DownloadRequest request = std::move(files[chosen]);
  request.destination = run.destination();
  request.force = run.force;
  return request;
}

// The name under which a file that was found by its root is saved: the user's choice if there are
// several, else the one that most holders have.
Result<std::string> GetCommand::nameOf(const std::string& root, const std::vector<FoundFile>& files,
                                       Run& run) const {
  if (run.output && !run.outputIsFolder) return files.front().name;  // -o has the name
  const auto names = plainNames(files);
  if (names.empty()) {
    return Error{ErrorCode::failed,
                 root + ": no holder has a usable name for it: -o PATH gives one"};
  }
  if (names.size() == 1 || !run.context.ask) return names.front();
  const auto which = askWhich(whichName(root, names), names.size(), root, run.context);
  if (!which) return which.error();
  return names[*which];
}

// Chooses one file of each name, and fetches them together.
void GetCommand::fetchAll(const std::string& name, Run& run) const {
  const bool isFolder = name.size() > 1 && name.ends_with('/');
  if (isFolder && run.output && !run.outputIsFolder) {
    return run.fail(name, {ErrorCode::usage,
                           fmt::format("{} is a folder: -o must be one, too", escaped(name))});
  }
  const FileSearch search(search_, share_, run.context);
  auto matches = isFolder ? search.below(name) : search.named(name);
  if (matches) matches = search.completed(std::move(*matches));
  if (!matches) return run.fail(name, matches.error());
  auto& found = matches->result.files;
  if (found.empty()) {
    run.fail(name, matches->notFound(name));
    return run.lacks(*matches);
  }
  const bool isAll = matches->isAll();
  const Error lack{ErrorCode::timeout,
                   fmt::format("{}: there may be more ({})", escaped(name), matches->coverage())};
  if (!isAll) run.lacks(*matches);
  std::map<std::string, std::vector<FoundFile>> byName;
  if (matches->kind == PatternKind::root) {
    auto saveAs = nameOf(name, found, run);
    if (!saveAs) return run.fail(name, saveAs.error());
    for (auto& file : found) file.name = *saveAs;
    byName[*saveAs] = std::move(found);  // one content under several names
  } else {
    for (auto& file : found) byName[file.name].push_back(std::move(file));
  }
  if (byName.size() > 1 && run.output && !run.outputIsFolder) {
    return run.fail(name, {ErrorCode::usage, fmt::format("{} matches {} files: -o must be a folder",
                                                         escaped(name), byName.size())});
  }
  std::vector<DownloadRequest> requests;
  requests.reserve(byName.size());
  for (auto& [fileName, files] : byName) {
    if (run.context.stop.stop_requested()) return run.fail(fileName, interrupted());
    if (matches->kind != PatternKind::root) dropOwnCopies(files, search.self());
    auto request = choose(byRoot(std::move(files)), fileName, run);
    if (request) {
      requests.push_back(std::move(*request));
    } else {
      run.fail(fileName, request.error());
    }
  }
  byName.clear();
  fetch(requests, run);
  if (!isAll) run.fail(name, lack);
}

void GetCommand::fetch(const std::vector<DownloadRequest>& requests, Run& run) const {
  std::vector<std::optional<Result<Fetched>>> ended(requests.size());
  if (requests.size() == 1) {
    ended[0] = downloads_.fetch(requests[0], run.context.stop, run.context.progress);
  } else {
    downloads_.fetchMany(
        requests, run.context.stop, run.context.progress,
        [&](std::size_t i, Result<Fetched> fetched) { ended[i] = std::move(fetched); });
  }
  run.files.reserve(run.files.size() + ended.size());
  for (std::size_t i = 0; i < ended.size(); ++i) {
    if (ended[i] && *ended[i]) {
      run.files.push_back(std::move(**ended[i]));
      continue;
    }
    Error error = ended[i] ? ended[i]->error() : interrupted();
    const auto& name = requests[i].file.name;
    const bool tells = error.code == ErrorCode::interrupted ||
                       error.message.find(escaped(name)) != std::string::npos;
    if (!tells) error.message = escaped(name) + ": " + error.message;
    run.fail(name, error);
  }
}

Outcome GetCommand::run(const std::vector<std::string>& names,
                        const std::optional<std::string>& output, bool force,
                        Context& context) const {
  Run run{.context = context, .output = output, .force = force};
  run.typed = fmt::format("{}", fmt::join(names, "/"));
  if (output) {
    run.outputIsFolder = output->ends_with('/') || isFolder(localPath(context, *output));
    if (names.size() > 1 && !run.outputIsFolder) {
      return Outcome::failed(
          "get",
          {ErrorCode::usage,
           fmt::format("get: {} is not a folder, but there are several files", escaped(*output))});
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
  return std::move(run).end();
}

}  // namespace espalier::peer::shell
