#include "metaserver/shell/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/text.h"
#include "common/command/metaserver_address.h"
#include "common/web/guard.h"

namespace espalier::metaserver::shell {
namespace {

using command::Option;

constexpr const char* kExamples =
    "  metaserver                                   a network on 127.0.0.1:5000\n"
    "  metaserver --listen 0.0.0.0:5000 --max-links 4\n"
    "  metaserver -e topo                           asks the one that runs here\n"
    "  metaserver -e 'whatif kill s7'               plans for that peer's death\n"
    "  metaserver --json -e status                  for scripts: one JSON object a line\n"
    "  ESPALIER_MAX_LINKS=4 metaserver              the same as --max-links 4\n"
    "  metaserver -2                                a chat that opens when two have come: the "
    "same\n"
    "                                               as --chat-opens-at 2\n"
    "Several that hold one network, of which the oldest is the master:\n"
    "  metaserver --listen 127.0.0.1:5010 --cluster 127.0.0.1:5000\n"
    "  metaserver 5020 5021 127.0.0.1-5000          another one: CLIENT_PORT SERVER_PORT "
    "HOST-PORT\n"
    "  metaserver 127.0.0.1 5030                    another one, alone until `link HOST:PORT`\n"
    "  metaserver --listen 127.0.0.1:5040 --instances 3    an entry with three behind it\n"
    "  metaserver --name m5010 -e master            asks one of several that run here\n"
    "  metaserver --cluster 192.0.2.1:5000 --election priority:10 --name paris \\\n"
    "             --listen 192.0.2.2:5000 --cluster-secret-file ~/secret\n";

constexpr const char* kNotes =
    "-e help lists the commands. With a terminal the metaserver has a prompt for them.\n"
    "With --cluster, --instances or ports as arguments the files are by default\n"
    "./.metaserver-PORT, ./topo-PORT.txt and ./NumberOfServers-PORT.txt.\n"
    "\n"
    "Exit codes: 0 done, 1 failed, 64 usage, 69 the address is taken or nobody runs here,\n"
    "74 I/O, 75 the metaserver does not answer, 78 configuration, 130 interrupted.\n";

constexpr std::uint16_t kWebPort = 5080;

constexpr const char* kForms =
    "metaserver CLIENT_PORT [SERVER_PORT [HOST:PORT]], or metaserver IP PORT";

bool isNumber(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

Result<std::uint16_t> parsePort(std::string_view name, std::string_view text) {
  const auto port = command::parseNumber(text, 1, 65535);
  if (!port) return Error{port.error().code, fmt::format("{}: {}", name, port.error().message)};
  return static_cast<std::uint16_t>(*port);
}

// What the words that are no options say.
struct Form {
  std::string host;  // empty: that of --listen
  std::uint16_t port = 0;
  std::optional<std::uint16_t> serverPort;
  std::optional<Endpoint> other;
};

// CLIENT_PORT [SERVER_PORT [HOST:PORT]]
Result<Form> parsePorts(const std::vector<std::string>& words) {
  Form form;
  const auto port = parsePort("CLIENT_PORT", words[0]);
  if (!port) return port.error();
  form.port = *port;
  if (words.size() > 1) {
    const auto server = parsePort("SERVER_PORT", words[1]);
    if (!server) return server.error();
    if (*server != *port) form.serverPort = *server;
  }
  if (words.size() > 2) {
    auto other = command::parseMetaserver(words[2]);
    if (!other) {
      // Else the error is that of HOST:PORT.
      auto dashed = command::parseDashedMetaserver(words[2]);
      if (dashed) other = std::move(dashed);
    }
    if (!other) return other.error();
    form.other = *std::move(other);
  }
  return form;
}

// IP PORT
Result<Form> parseAddress(const std::vector<std::string>& words) {
  if (words.size() == 2) {
    if (auto at = command::parseHostAndPort(words[0], words[1]))
      return Form{at->host, at->port, {}, {}};
  }
  std::string all;
  for (const auto& word : words) all += (all.empty() ? "" : " ") + escaped(word);
  return Error{ErrorCode::usage, fmt::format("\"{}\" is none of the forms: {}", all, kForms)};
}

command::StoreWords storeForm(MetaserverOptions& options) {
  return [&options](const std::vector<std::string>& words) -> Result<command::Assign> {
    auto form = isNumber(words[0]) ? parsePorts(words) : parseAddress(words);
    if (!form) return form.error();
    return command::Assign([&options, form = *std::move(form)] {
      options.byPosition = true;
      options.listen.port = form.port;
      if (!form.host.empty()) options.listen.host = form.host;
      options.serverPort = form.serverPort;
      auto& cluster = options.cluster;
      if (!form.other) return;
      // It is the port for metaservers there; one that was started without has it one above the
      // port for peers, where it listens for both.
      auto below = *form.other;
      --below.port;
      for (const auto& other : {*form.other, below}) {
        const bool isKnown = std::ranges::find(cluster, other) != cluster.end();
        if (other.port != 0 && !isKnown) cluster.push_back(other);
      }
    });
  };
}

Result<std::chrono::milliseconds> parseMigration(std::string_view text) {
  return command::parseDuration(text, limits::kMigrateEveryLeast, limits::kMigrateEveryMost);
}

Result<double> parseRate(std::string_view text) {
  const auto rate =
      command::parseNumber(text, 1, static_cast<std::uint64_t>(limits::kRoomRateMost));
  if (!rate) return rate.error();
  return static_cast<double>(*rate);
}

// 003's form: `metaserver -2`, a chat that opens when two have come.
std::vector<std::string> withoutForm003(std::vector<std::string> arguments) {
  if (arguments.empty()) return arguments;
  auto& first = arguments.front();
  if (first.size() > 1 && first.front() == '-' && isNumber(std::string_view(first).substr(1))) {
    first = "--chat-opens-at=" + first.substr(1);
  }
  return arguments;
}

// An option whose value is one of `values`.
Option oneOf(std::string name, std::string byDefault, std::string help, std::string& target,
             const std::vector<std::string>& values) {
  return command::offering({std::move(name), "RULE", std::move(byDefault), std::move(help),
                            command::storeOneOf(target, values)},
                           values);
}

std::vector<Option> networkOptions(MetaserverOptions& o) {
  using namespace command;
  return {
      {"listen", "HOST:PORT", "127.0.0.1:5000", "where peers reach it", storeEndpoint(o.listen)},
      {"first-port", "N", "5001", "the first port that it assigns to a peer",
       storeNumber(o.firstPort, 1, 65535)},
      {"max-links", "N", "2", "links of a peer, with the one to its parent: 2 to 64",
       storeNumber(o.maxLinks, limits::kMinLinks, limits::kMaxLinks)},
      oneOf("placement", "shallowest",
            "shallowest: the free slot nearest the root; classic: handed on from the\n"
            "first peer to oldest children; nearest: by address",
            o.placement, {"shallowest", "classic", "nearest"}),
      {"join-word", "WORD", "P2P", "the word that a joiner must send",
       storeText(o.joinWord, limits::kJoinWordBytes)},
      {"chat-opens-at", "N", "0",
       "what is said in rooms is kept, and shown once N peers are there at the\nsame time; 0: at "
       "once",
       storeNumber(o.chatOpensAt, 0, static_cast<std::uint32_t>(limits::kMembers))},
      {"room-rate", "N", "5",
       "messages that a peer may say a second, and four times as many at once",
       storeParsed(o.roomRate, parseRate)},
      {"topo", "FILE", "./topo.txt", "the snapshot of the network",
       storeText(o.given.topoFile, limits::kPathBytes), false, true},
      {"count-file", "FILE", "./NumberOfServers.txt", "the number of peers in it",
       storeText(o.given.countFile, limits::kPathBytes), false, true},
      {"state", "DIR", "./.metaserver", "the folder of its state and its control socket",
       storeText(o.given.state, limits::kPathBytes), false, true},
      {"web", "[HOST:PORT]", "127.0.0.1:5080",
       "a page in the browser, for this machine; `web` prints the way in",
       storeParsed(o.web, [](auto text) { return web::parseWebAddress(text, kWebPort); }), false,
       false, false, "yes"},
      {"web-host", "NAME", "", "the name that a proxy has for the page",
       storeParsed(o.webHost, web::parseWebHost)},
      {"e", "COMMAND", "", "run COMMAND in the metaserver that runs on that state; may be repeated",
       storeAll(o.commands), true},
      {"json", "", "", "one JSON object a line for every command, errors included",
       storeYes(o.json)},
      logLevelOption(o.logLevel),
  };
}

std::vector<Option> clusterOptions(MetaserverOptions& o) {
  using namespace command;
  return {
      {"cluster", "HOST:PORT[,…]", "",
       "other metaservers of this cluster, 16 at most; may be repeated. The first\n"
       "that answers links this one to all",
       storeParsed(o.cluster, parseMetaservers), false, false, true},
      {"name", "NAME", "m5000", "its name, unique in the cluster: by default m and its port",
       storeParsed(o.given.name, ServerName::parse)},
      offering({"election", "RULE", "oldest",
                "who is the master: oldest (by time of start), address (the lowest),\n"
                "most-peers, or priority:N (the highest)",
                storeParsed(o.election, cluster::parseRule)},
               {"oldest", "address", "most-peers"}),
      offering({"coordination", "ENGINE", "builtin",
                "builtin, or etcd:URL[,URL…]: only who holds the lease in etcd decides",
                storeParsed(o.coordination, parseCoordination)},
               {"builtin"}),
      {"entry", "", "", "holds no peers itself: hands each newcomer on to another metaserver",
       storeYes(o.entry)},
      oneOf("balance", "least-connections",
            "to which one: least-connections, round-robin or nearest", o.balance,
            {"least-connections", "round-robin", "nearest"}),
      {"max-peers", "N", "100000", "peers that it holds; others are handed on",
       storeNumber(o.maxPeers, 1, limits::kConnections)},
      {"instances", "N", "", "starts N metaservers on the ports that follow, and is their entry",
       storeNumber(o.instances, 1, limits::kMetaservers - 1)},
      {"migrate-every", "DURATION", "", "moves to another port again and again: 30s, 5min, 2h",
       storeParsed(o.migrateEvery, parseMigration)},
      {"cluster-secret-file", "FILE", "",
       "what metaservers of a cluster prove to each other that they know, mode 0600",
       storeText(o.clusterSecretFile, limits::kPathBytes), false, true},
      {"etcd-prefix", "/NAME/", "/espalier/",
       "before its keys in etcd, so that clusters can share one",
       storeParsed(o.etcdPrefix, parseEtcdPrefix)},
      {"etcd-ca-file", "FILE", "", "who may sign the certificates of etcd: PEM, for https",
       storeText(o.etcdCaFile, limits::kPathBytes), false, true},
  };
}

// What no option can check alone.
Result<void> checkTogether(const command::Parsed& parsed, const MetaserverOptions& o) {
  const bool listenGiven = std::ranges::find(parsed.given, "listen") != parsed.given.end();
  if (o.byPosition && listenGiven) {
    return Error{ErrorCode::usage,
                 "--listen, and a port as an argument: only one of them says where peers reach it"};
  }
  if (o.instances > 0 && (o.listen.port == 0 || o.listen.port + o.instances > 65535)) {
    return Error{ErrorCode::usage, fmt::format("--instances: there are no {} ports behind {}",
                                               o.instances, o.listen.text())};
  }
  const auto isSecure = [](const std::string& url) { return url.starts_with("https:"); };
  if (!o.etcdCaFile.empty() && std::ranges::none_of(o.coordination.etcd, isSecure)) {
    return Error{ErrorCode::usage, "--etcd-ca-file: no URL of --coordination is https://…"};
  }
  const bool prefixGiven = std::ranges::find(parsed.given, "etcd-prefix") != parsed.given.end();
  if (prefixGiven && o.coordination.isBuiltIn()) {
    return Error{ErrorCode::usage, "--etcd-prefix: --coordination is builtin"};
  }
  if (o.cluster.size() > limits::kMetaservers) {
    return Error{ErrorCode::usage, fmt::format("more than {} metaservers", limits::kMetaservers)};
  }
  return {};
}

}  // namespace

void MetaserverOptions::choosePort(std::uint16_t port) {
  const auto byPort = hasFilesByPort() ? fmt::format("-{}", port) : "";
  const auto orElse = [](const std::string& chosen, std::string other) {
    return chosen.empty() ? std::move(other) : chosen;
  };
  topoFile = orElse(given.topoFile, fmt::format("./topo{}.txt", byPort));
  countFile = orElse(given.countFile, fmt::format("./NumberOfServers{}.txt", byPort));
  state = orElse(given.state, "./.metaserver" + byPort);
  name = given.name.empty() ? *ServerName::parse(fmt::format("m{}", port)) : given.name;
}

command::Program metaserverProgram(MetaserverOptions& options) {
  command::Program program;
  program.name = "metaserver";
  program.summary = "metaserver: admits peers to a network and keeps its snapshot in topo.txt.";
  program.examples = kExamples;
  program.notes = kNotes;
  program.options = networkOptions(options);
  for (auto& option : clusterOptions(options)) program.options.push_back(std::move(option));
  program.positional = {
      "CLIENT_PORT [SERVER_PORT [HOST:PORT]] | IP PORT",
      "its port; a port for links between metaservers; another metaserver of its\n"
      "cluster, also as HOST-PORT. Or its address",
      storeForm(options), 3};
  return program;
}

Result<command::Parsed> parseMetaserverOptions(const std::vector<std::string>& arguments,
                                               const command::Environment& environment,
                                               MetaserverOptions& options) {
  const auto program = metaserverProgram(options);
  auto parsed = command::parseOptions(program, withoutForm003(arguments), environment);
  options.choosePort(options.listen.port);
  if (!parsed || parsed->text) return parsed;
  if (options.instances > 0) options.entry = true;
  if (const auto fits = checkTogether(*parsed, options); !fits) return fits.error();
  return parsed;
}

}  // namespace espalier::metaserver::shell
