#include "metaserver/shell/options.h"

#include "common/base/limits.h"

namespace espalier::metaserver::shell {
namespace {

constexpr const char* kExamples =
    "  metaserver                                   a network on 127.0.0.1:5000\n"
    "  metaserver --listen 0.0.0.0:5000 --max-links 4\n"
    "  metaserver -e topo                           asks the one that runs here\n"
    "  metaserver -e 'whatif kill s7'               plans for that peer's death\n"
    "  metaserver --json -e status                  for scripts: one JSON object a line\n"
    "  ESPALIER_MAX_LINKS=4 metaserver              the same as --max-links 4\n";

constexpr const char* kNotes =
    "Exit codes: 0 done, 1 failed, 64 usage, 69 the address is taken or nobody runs here,\n"
    "74 I/O, 75 the metaserver does not answer, 78 configuration, 130 interrupted.\n";

}  // namespace

Result<command::Parsed> parseMetaserverOptions(const std::vector<std::string>& arguments,
                                               const command::Environment& environment,
                                               MetaserverOptions& options) {
  using namespace command;
  MetaserverOptions& o = options;
  Program program;
  program.name = "metaserver";
  program.summary = "metaserver: admits peers to a network and keeps its snapshot in topo.txt.";
  program.examples = kExamples;
  program.notes = kNotes;
  program.options = {
      {"listen", "HOST:PORT", "127.0.0.1:5000", "where peers reach it", storeEndpoint(o.listen)},
      {"first-port", "N", "5001", "the first port that it assigns to a peer",
       storeNumber(o.firstPort, 1, 65535)},
      {"max-links", "N", "2", "links of a peer, with the one to its parent: 2 to 64",
       storeNumber(o.maxLinks, limits::kMinLinks, limits::kMaxLinks)},
      {"placement", "RULE", "shallowest",
       "shallowest: the free slot nearest the root; classic: handed on from the\n"
       "                         first peer to oldest children; nearest: by address",
       storeOneOf(o.placement, {"shallowest", "classic", "nearest"})},
      {"join-word", "WORD", "P2P", "the word that a joiner must send",
       storeText(o.joinWord, limits::kJoinWordBytes)},
      {"topo", "FILE", "./topo.txt", "the snapshot of the network",
       storeText(o.topoFile, limits::kPathBytes), false, true},
      {"count-file", "FILE", "./NumberOfServers.txt", "the number of peers in it",
       storeText(o.countFile, limits::kPathBytes), false, true},
      {"state", "DIR", "./.metaserver", "the folder of its state and its control socket",
       storeText(o.state, limits::kPathBytes), false, true},
      {"e", "COMMAND", "", "run COMMAND in the metaserver that runs on that state; may be repeated",
       storeAll(o.commands), true},
      {"json", "", "", "one JSON object a line for every command of -e, errors included",
       storeYes(o.json)},
      {"log-level", "LEVEL", "info", "debug, info, warning, error or none",
       storeLogLevel(o.logLevel)},
  };
  return parseOptions(program, arguments, environment);
}

}  // namespace espalier::metaserver::shell
