#include "bench/processes.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <deque>
#include <fstream>
#include <sstream>
#include <thread>

#include "common/base/fs.h"

namespace espalier::bench {

using namespace std::chrono_literals;

void fail(const std::string& what) {
  fmt::print(stderr, "benchmark failed: {}\n", what);
  std::exit(1);
}

void failWithErrno(const std::string& what) {
  fail(what + ": " + std::strerror(errno));
}

// --- command line

Arguments::Arguments(int count, char** words, std::map<std::string, std::string> defaults)
    : values_(std::move(defaults)) {
  for (int i = 1; i < count; i += 2) {
    const std::string word = words[i];
    const bool known = word.starts_with("--") && values_.contains(word.substr(2));
    if (!known || i + 1 == count) {
      std::string usage = fmt::format("usage: {}", words[0]);
      for (const auto& [name, value] : values_) usage += fmt::format(" [--{} {}]", name, value);
      fmt::print(stderr, "{}\n", usage);
      std::exit(64);
    }
    values_[word.substr(2)] = words[i + 1];
  }
}

int Arguments::number(const std::string& name) const {
  const int value = std::atoi(values_.at(name).c_str());
  if (value < 1) fail("--" + name + " wants a number above 0");
  return value;
}

// --- files

TemporaryFolder::TemporaryFolder() {
  const char* base = std::getenv("TMPDIR");
  path_ = fmt::format("{}/espalier-bench-XXXXXX", base != nullptr ? base : "/tmp");
  if (::mkdtemp(path_.data()) == nullptr) failWithErrno("cannot make a temporary folder");
}

TemporaryFolder::~TemporaryFolder() {
  boost::system::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string readText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void writeText(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  if (!(file << text)) failWithErrno("cannot write " + path);
}

std::string programPath(const std::string& name) {
  boost::system::error_code error;
  const auto self = fs::read_symlink("/proc/self/exe", error);
  const auto path = self.parent_path().parent_path() / name / name;
  if (!fs::exists(path, error)) fail("build it first: " + path.string());
  return path.string();
}

void waitFor(const std::string& what, std::chrono::seconds atMost,
             const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + atMost;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) fail("waited in vain for " + what);
    std::this_thread::sleep_for(5ms);
  }
}

// --- processes

Process Process::fork(const std::function<void()>& body) {
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) failWithErrno("fork");
  if (child > 0) return Process(child);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) std::_Exit(1);
  body();
  std::_Exit(1);
}

Process Process::start(const std::vector<std::string>& command, const std::string& log) {
  if (::access(command.front().c_str(), X_OK) != 0) {
    fail(command.front() + " is not there: build it with ninja -C BUILD benchmarks");
  }
  std::vector<char*> words;
  for (const auto& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  return fork([&] {
    const int file = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    const int null = ::open("/dev/null", O_RDWR);
    ::dup2(null, STDIN_FILENO);
    ::dup2(null, STDOUT_FILENO);
    ::dup2(file, STDERR_FILENO);
    ::close_range(STDERR_FILENO + 1, ~0u, 0);
    ::execv(words[0], words.data());
  });
}

Process::~Process() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

bool Process::alive() const {
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT);
  return info.si_pid == 0;
}

double Process::cpuSeconds() const {
  clockid_t clock{};
  timespec time{};
  if (::clock_getcpuclockid(pid_, &clock) != 0 || ::clock_gettime(clock, &time) != 0) {
    fail("a process has ended too early");
  }
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

namespace {

std::uint64_t numberAfter(const std::string& path, const std::string& key) {
  const std::string text = readText(path);
  const auto at = text.find("\n" + key);
  if (at == std::string::npos) fail("no " + key + " in " + path);
  return std::strtoull(text.c_str() + at + 1 + key.size(), nullptr, 10);
}

}  // namespace

std::uint64_t Process::anonymousBytes() const {
  return 1024 * numberAfter(fmt::format("/proc/{}/smaps_rollup", pid_), "Anonymous:");
}

int Process::threads() const {
  return static_cast<int>(numberAfter(fmt::format("/proc/{}/status", pid_), "Threads:"));
}

// --- the network

Metaserver startMetaserver(const std::string& folder, const std::vector<std::string>& options) {
  const std::string log = folder + "/metaserver.log";
  std::vector<std::string> command{
      programPath("metaserver"), "--listen",     "127.0.0.1:0",         "--topo",
      folder + "/topo.txt",      "--count-file", folder + "/count.txt", "--state",
      folder + "/state"};
  command.insert(command.end(), options.begin(), options.end());
  Metaserver metaserver{Process::start(command, log), {}, folder + "/topo.txt"};
  waitFor("the metaserver", 20s, [&] {
    if (!metaserver.process.alive()) fail("the metaserver ended: " + readText(log));
    const std::string text = readText(log);
    const std::string ready = "metaserver ready on ";
    const auto at = text.find(ready);
    if (at == std::string::npos) return false;
    const auto begin = at + ready.size();
    const auto endpoint = Endpoint::parse(text.substr(begin, text.find(',', begin) - begin));
    if (!endpoint) return false;
    metaserver.endpoint = *endpoint;
    return true;
  });
  return metaserver;
}

Network::Network(int peers, int maxLinks)
    : metaserver_(
          startMetaserver(folder_.path(), {"--max-links", std::to_string(maxLinks), "--first-port",
                                           std::to_string(10'000 + ::getpid() * 97 % 15'000)})) {
  for (int i = 1; i <= peers; ++i) {
    const std::string id = fmt::format("p{}", i);
    const std::string share = folder_.path() + "/" + id;
    boost::system::error_code error;
    fs::create_directory(share, error);
    writeText(fmt::format("{}/needle-{}.txt", share, id), "a needle of " + id + "\n");
    for (int file = 1; file <= 3; ++file) {
      writeText(fmt::format("{}/straw{}.txt", share, file), "straw of " + id + "\n");
    }
    peers_.push_back(
        Process::start({programPath("peer"), "--metaserver", metaserver_.endpoint.text(), "--id",
                        id, "--share", share, "--headless", "--log-level", "warning"},
                       folder_.path() + "/" + id + ".log"));
  }
  waitFor(fmt::format("{} peers in one tree", peers), 120s, [&] { return isWhole(); });
}

Topology Network::topology() const {
  Topology topology;
  std::istringstream lines(readText(metaserver_.topoFile));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string id;
    words >> id;
    if (id.ends_with(':')) id.pop_back();
    auto& neighbours = topology[id];
    for (std::string word; words >> word;) neighbours.push_back(word);
  }
  return topology;
}

namespace {

// The distances of all peers from `from`; the farthest last.
std::vector<std::pair<std::string, int>> distances(const Topology& topology,
                                                   const std::string& from) {
  std::vector<std::pair<std::string, int>> reached{{from, 0}};
  std::map<std::string, int> seen{{from, 0}};
  for (std::size_t i = 0; i < reached.size(); ++i) {
    const auto [id, hops] = reached[i];
    const auto found = topology.find(id);
    if (found == topology.end()) continue;
    for (const auto& neighbour : found->second) {
      if (seen.emplace(neighbour, hops + 1).second) reached.emplace_back(neighbour, hops + 1);
    }
  }
  return reached;
}

}  // namespace

bool Network::isWhole() const {
  for (const auto& peer : peers_) {
    if (!peer.alive())
      fail("a peer ended; the first says: " + readText(folder_.path() + "/p1.log"));
  }
  const Topology now = topology();
  return now.size() == peers_.size() && distances(now, now.begin()->first).size() == peers_.size();
}

Network::Ends Network::ends() const {
  const Topology now = topology();
  const std::string from = distances(now, now.begin()->first).back().first;
  const auto [to, hops] = distances(now, from).back();
  return {from, to, hops};
}

// --- commands

Control::Control(const std::string& stateFolder)
    : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = stateFolder + "/control.sock";
  if (path.size() >= sizeof address.sun_path) fail("too long a path: " + path);
  std::memcpy(address.sun_path, path.c_str(), path.size());
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  waitFor(path, 20s, [&] { return ::connect(socket_.get(), generic, sizeof address) == 0; });
}

Control::Answer Control::run(const std::string& command) {
  const std::string request =
      Json{
          {"run", command}, {"json", true}, {"progress", false}, {"ask", false}, {"directory", "/"}}
          .dump() +
      "\n";
  std::string output;
  const auto start = std::chrono::steady_clock::now();
  if (::send(socket_.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) {
    failWithErrno("a control socket");
  }
  while (true) {
    const auto end = received_.find('\n');
    if (end == std::string::npos) {
      char buffer[16 * 1024];
      const auto count = ::recv(socket_.get(), buffer, sizeof buffer, 0);
      if (count <= 0) fail("a peer closed its control socket");
      received_.append(buffer, static_cast<std::size_t>(count));
      continue;
    }
    const std::string line = received_.substr(0, end);
    received_.erase(0, end + 1);
    if (line.find("\"exit\"") != std::string::npos && Json::parse(line).contains("exit")) break;
    output += line + "\n";
  }
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  std::string text;
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) {
    const Json message = Json::parse(line);
    if (message.contains("out")) text += message["out"].get<std::string>();
  }
  return {Json::parse(text, nullptr, false), taken.count()};
}

}  // namespace espalier::bench
