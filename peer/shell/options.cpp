#include "peer/shell/options.h"

#include <fmt/format.h>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/command/metaserver_address.h"
#include "common/web/guard.h"

namespace espalier::peer::shell {
namespace {

using command::Option;
using command::Store;

constexpr std::uint16_t kWebPort = 5081;

constexpr const char* kExamples =
    "  peer                                   asks what to do, and for an id to join under\n"
    "  peer --id s2                           joins at once as s2, shares ./s2, shows a prompt\n"
    "  peer --id s2 -e 'get f3.txt'           fetches a file, in the running s2 if it runs\n"
    "  peer --id s2 --json -e 'find *.txt'    the same for scripts: one JSON object a line\n"
    "  peer --id s2 --headless                serves without a prompt until SIGTERM\n"
    "  peer 5                                 own downloads wait until 5 peers have joined\n"
    "  peer 127.0.0.1-5000                    the metaserver, in another form\n"
    "  peer --metaserver 192.0.2.1:5000 --id s2 --listen 0.0.0.0 --advertise 192.0.2.7\n";

constexpr const char* kNotes =
    "Exit codes: 0 done, 1 failed, 3 partly done, 64 usage, 69 metaserver out of reach, 74 I/O,\n"
    "75 timed out, 76 hash or protocol mismatch, 77 refused, 78 configuration, 130 interrupted.\n";

// HOST, HOST:PORT, [V6], [V6]:PORT; port 0 where none is given.
Result<Endpoint> parseHost(std::string_view value, bool mayHavePort) {
  std::string text(value);
  const bool bare6 = !text.starts_with('[') && text.find(':') != text.rfind(':');
  if (bare6) text = "[" + text + "]";
  const bool hasPort = text.starts_with('[') ? text.find("]:") != std::string::npos
                                             : text.find(':') != std::string::npos;
  if (hasPort && !mayHavePort) {
    return Error{ErrorCode::usage,
                 fmt::format("\"{}\" has a port: only the host is announced", escaped(value))};
  }
  return Endpoint::parse(hasPort ? text : text + ":0");
}

std::string stateBelow(const std::string& share) {
  return share + (share.ends_with('/') ? "" : "/") + ".espalier";
}

// TOTAL, or HOST-PORT: the metaserver, as in 127.0.0.1-5000.
Store storeTotalOrMetaserver(PeerOptions& options) {
  const auto total = command::storeNumber(options.total, 1, limits::kMembers);
  return [&options, total](std::string_view value) -> Result<command::Assign> {
    if (value.find('-') == std::string_view::npos) return total(value);
    const auto metaserver = command::parseDashedMetaserver(value);
    if (!metaserver) {
      return Error{ErrorCode::usage,
                   fmt::format("\"{}\" is neither a number of peers nor HOST-PORT of a metaserver",
                               escaped(value))};
    }
    return command::Assign([&options, at = *metaserver] { options.metaservers = {at}; });
  };
}

Result<std::uint64_t> parsePushLimit(std::string_view value) {
  return command::parseSize(value, limits::kPushFiles * limits::kFileBytes);
}

Result<std::string> parseAdvertised(std::string_view value) {
  const auto endpoint = parseHost(value, false);
  if (!endpoint) return endpoint.error();
  return endpoint->host;
}

Store storeJoinWord(PeerOptions& options) {
  return [&options, store = command::storeText(options.joinWord, limits::kJoinWordBytes)](
             std::string_view value) -> Result<command::Assign> {
    auto assign = store(value);
    if (!assign) return assign;
    return command::Assign([&options, assign = *std::move(assign)] {
      options.joinWordGiven = true;
      assign();
    });
  };
}

// all, none, or ids with commas between them.
Result<PushPolicy> parseSenders(std::string_view value) {
  PushPolicy policy{PushPolicy::From::some, {}, 0};
  if (value == "all" || value == "none") {
    policy.from = value == "all" ? PushPolicy::From::all : PushPolicy::From::none;
    return policy;
  }
  while (true) {
    const auto comma = value.find(',');
    const auto id = PeerId::parse(value.substr(0, comma));
    if (!id) return Error{ErrorCode::usage, "all, none, or ids: " + id.error().message};
    policy.senders.insert(*id);
    if (comma == std::string_view::npos) return policy;
    value.remove_prefix(comma + 1);
  }
}

// Does not change the limit, which is an option of its own.
Store storeSenders(PushPolicy& target) {
  return [&target](std::string_view value) -> Result<command::Assign> {
    auto policy = parseSenders(value);
    if (!policy) return policy.error();
    return command::Assign([&target, policy = *std::move(policy)] {
      target.from = policy.from;
      target.senders = policy.senders;
    });
  };
}

std::vector<Option> optionTable(PeerOptions& o) {
  using namespace command;
  return {
      {"metaserver", "HOST:PORT[,…]", "127.0.0.1:5000",
       "the metaservers of its network, 16 at most; the next one is used if one is out of reach",
       storeParsed(o.metaservers, parseMetaservers)},
      {"id", "ID", "", "this peer's name in the network; without it, the dialogue asks",
       storePeerId(o.id)},
      {"share", "DIR", "./ID", "the folder to share; made if it does not exist",
       storeText(o.given.share, limits::kPathBytes), false, true},
      {"share-hidden", "", "", "also share names that begin with a dot", storeYes(o.shareHidden)},
      {"downloads", "DIR", "the share", "where fetched files go",
       storeText(o.given.downloads, limits::kPathBytes), false, true},
      {"join-word", "WORD", "P2P", "the join word of the metaserver", storeJoinWord(o)},
      {"listen", "HOST[:PORT]", "127.0.0.1", "where to listen; the metaserver assigns the port",
       storeParsed(o.listen, [](auto value) { return parseHost(value, true); })},
      {"advertise", "HOST", "as --listen", "the address at which others reach this peer",
       storeParsed(o.advertise, parseAdvertised)},
      {"state", "DIR", "SHARE/.espalier", "its key, index and incomplete downloads",
       storeText(o.given.state, limits::kPathBytes), false, true},
      offering(
          {"accept-push", "all|IDs|none", "none",
           "peers whose pushes are accepted; ids separated by commas", storeSenders(o.acceptPush)},
          {"all", "none"}),
      {"accept-push-limit", "SIZE", "10G", "the most bytes of one push: 500, 20K, 10M, 4G",
       storeParsed(o.acceptPush.limitBytes, parsePushLimit)},
      {"upload-rate", "RATE", "none", "bytes a second of all uploads together: 500K, 10M, none",
       storeParsed(o.rates.upload, parseRate)},
      {"download-rate", "RATE", "none", "the same for all downloads",
       storeParsed(o.rates.download, parseRate)},
      {"web", "[HOST:PORT]", "127.0.0.1:5081",
       "a page in the browser, for this machine; `web` prints the way in",
       storeParsed(o.web, [](auto text) { return web::parseWebAddress(text, kWebPort); }), false,
       false, false, "yes"},
      {"web-host", "NAME", "", "the name that a proxy has for the page",
       storeParsed(o.webHost, web::parseWebHost)},
      {"e", "COMMAND", "", "run COMMAND and exit; may be repeated; -e help lists them",
       storeAll(o.commands), true},
      {"headless", "", "", "no prompt: serve until SIGTERM", storeYes(o.headless)},
      {"bell", "", "", "ring for private messages, and for those of rooms that name this peer",
       storeYes(o.bell)},
      {"json", "", "", "one JSON object a line for every command", storeYes(o.json)},
      {"quiet", "", "", "no progress, no notices", storeYes(o.quiet)},
      logLevelOption(o.logLevel),
  };
}

}  // namespace

Result<std::uint64_t> parseRate(std::string_view text) {
  if (text == "none" || text == "0") return std::uint64_t{0};
  auto rate = command::parseSize(text, limits::kRateMost);
  if (!rate) return Error{ErrorCode::usage, rate.error().message + ", or none"};
  if (*rate >= limits::kRateLeast) return rate;
  return Error{ErrorCode::usage,
               fmt::format("a rate of less than {} a second would end connections",
                           formatSize(limits::kRateLeast))};
}

void PeerOptions::chooseId(const PeerId& chosen) {
  id = chosen;
  share = given.share.empty() ? "./" + id.text() : given.share;
  downloads = given.downloads.empty() ? share : given.downloads;
  state = given.state.empty() ? stateBelow(share) : given.state;
}

command::Program peerProgram(PeerOptions& options) {
  command::Program program;
  program.name = "peer";
  program.summary = "peer: joins a network, shares a folder, finds and fetches files.";
  program.examples = kExamples;
  program.notes = kNotes;
  program.options = optionTable(options);
  program.positional = {"TOTAL|HOST-PORT",
                        "a number: this peer's own downloads wait until so many have joined;\n"
                        "else the metaserver, as --metaserver HOST:PORT",
                        command::storeWord(storeTotalOrMetaserver(options))};
  return program;
}

Result<command::Parsed> parsePeerOptions(const std::vector<std::string>& arguments,
                                         const command::Environment& environment, bool terminal,
                                         PeerOptions& options) {
  const auto program = peerProgram(options);
  auto parsed = command::parseOptions(program, arguments, environment);
  if (!parsed || parsed->text) return parsed;
  // Commands without an id are for the peer that already runs on that share or state.
  const auto& given = options.given;
  const bool told = !given.share.empty() || !given.state.empty();
  if (options.id.empty() && !options.commands.empty() && told && !options.headless) {
    options.state = given.state.empty() ? stateBelow(given.share) : given.state;
  } else if (options.id.empty()) {
    const char* wants = options.headless            ? "--headless"
                        : !options.commands.empty() ? "-e"
                        : !terminal                 ? "without a terminal, peer"
                                                    : nullptr;
    if (wants != nullptr) {
      return Error{ErrorCode::usage, fmt::format("{} needs --id ID", wants)};
    }
  } else {
    options.chooseId(PeerId(options.id));
  }
  return parsed;
}

}  // namespace espalier::peer::shell
