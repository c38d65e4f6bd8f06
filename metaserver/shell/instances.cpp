#include "metaserver/shell/instances.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <utility>

#include "common/base/file.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/command/printing.h"

namespace espalier::metaserver::shell {
namespace {

using namespace std::chrono_literals;

constexpr Duration kRestartPauseLeast = 200ms;
constexpr Duration kRestartPauseMost = 30s;
constexpr Duration kSteady = 30s;
constexpr auto kEndPatience = 15s;  // more than a goodbye takes
constexpr auto kKilledPatience = 5s;
constexpr int kNotStarted = 127;  // exit code, as a shell's
constexpr std::size_t kLineAtOnce = 4096;
constexpr int kReadsAtOnce = 16;  // then others have a turn

// net.txt becomes net-5001.txt.
std::string withPort(const std::string& path, std::uint16_t port) {
  const auto leaf = path.find_last_of('/') + 1;  // 0 without a slash
  const auto dot = path.find_last_of('.');
  const bool hasExtension = dot != std::string::npos && dot > leaf;
  const auto at = hasExtension ? dot : path.size();
  return fmt::format("{}-{}{}", path.substr(0, at), port, path.substr(at));
}

std::string coordinationText(const Coordination& coordination) {
  if (coordination.isBuiltIn()) return "builtin";
  std::string text = "etcd:";
  for (const auto& url : coordination.etcd) text += (text.back() == ':' ? "" : ",") + url;
  return text;
}

std::string levelText(log::Level level) {
  switch (level) {
    case log::Level::debug:
      return "debug";
    case log::Level::info:
      return "info";
    case log::Level::warning:
      return "warning";
    case log::Level::error:
      return "error";
    case log::Level::none:
      break;
  }
  return "none";
}

// The variables of this process but those that are options.
std::vector<std::string> environmentOfInstances() {
  std::vector<std::string> variables;
  for (char** variable = ::environ; *variable != nullptr; ++variable) {
    if (!std::string_view(*variable).starts_with("ESPALIER_")) variables.emplace_back(*variable);
  }
  return variables;
}

std::vector<char*> pointersTo(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (auto& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

// In the new process, where only functions that are safe in a signal handler may be called: another
// thread may have held any lock at the moment of the fork.
[[noreturn]] void becomeInstance(pid_t parent, int output, char* const* arguments,
                                 char* const* environment) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(0);  // it ended before the line above
  ::setsid();                             // Ctrl-C is for the entry, which ends its instances
  const int nothing = ::open("/dev/null", O_RDWR);
  ::dup2(nothing, STDIN_FILENO);
  ::dup2(nothing, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
#ifdef SYS_close_range
  ::syscall(SYS_close_range, 3u, ~0u, 0u);  // all are to be closed by execve(), in case one is not
#endif
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execve("/proc/self/exe", arguments, environment);
  ::_exit(kNotStarted);
}

// The name of the entry, with the port.
std::string nameOf(const MetaserverOptions& entry, std::uint16_t port) {
  constexpr std::size_t kPortBytes = 6;
  const auto& name = entry.given.name;
  if (name.empty()) return fmt::format("m{}", port);
  return fmt::format("{}-{}", cutUtf8(name.text(), limits::kPeerIdBytes - kPortBytes), port);
}

std::string howItEnded(int status) {
  if (WIFSIGNALED(status)) return fmt::format("killed by signal {}", WTERMSIG(status));
  if (WEXITSTATUS(status) == kNotStarted) return "the program cannot be started";
  return fmt::format("exit code {}", WEXITSTATUS(status));
}

}  // namespace

std::vector<std::string> instanceArguments(const MetaserverOptions& entry, std::uint16_t port,
                                           const std::vector<Endpoint>& others) {
  std::vector<std::string> words{"metaserver", "--listen",
                                 Endpoint{entry.listen.host, port}.text()};
  const auto add = [&](const char* name, std::string value) {
    words.emplace_back(name);
    words.push_back(std::move(value));
  };
  for (const auto& other : others) add("--cluster", other.text());
  const bool hasPriority = entry.election.rule == cluster::ElectionRule::priority;
  add("--election", std::string(cluster::ruleName(entry.election.rule)) +
                        (hasPriority ? fmt::format(":{}", entry.election.priority) : ""));
  add("--placement", entry.placement);
  add("--max-links", std::to_string(entry.maxLinks));
  add("--join-word", entry.joinWord);
  add("--first-port", std::to_string(entry.firstPort));
  add("--chat-opens-at", std::to_string(entry.chatOpensAt));
  add("--room-rate", std::to_string(static_cast<std::uint64_t>(entry.roomRate)));
  add("--coordination", coordinationText(entry.coordination));
  add("--balance", entry.balance);
  add("--max-peers", std::to_string(entry.maxPeers));
  add("--log-level", levelText(entry.logLevel));
  if (!entry.clusterSecretFile.empty()) add("--cluster-secret-file", entry.clusterSecretFile);
  if (!entry.coordination.isBuiltIn()) add("--etcd-prefix", entry.etcdPrefix);
  if (!entry.etcdCaFile.empty()) add("--etcd-ca-file", entry.etcdCaFile);
  if (entry.migrateEvery > 0ms) {
    add("--migrate-every", fmt::format("{}ms", entry.migrateEvery.count()));
  }
  const auto& given = entry.given;
  if (!given.state.empty()) add("--state", withPort(given.state, port));
  if (!given.topoFile.empty()) add("--topo", withPort(given.topoFile, port));
  if (!given.countFile.empty()) add("--count-file", withPort(given.countFile, port));
  if (!given.name.empty()) add("--name", nameOf(entry, port));
  return words;
}

Instances::Instances(net::EventLoop& loop, MetaserverOptions options,
                     std::function<Endpoint()> entry)
    : loop_(loop), options_(std::move(options)), entry_(std::move(entry)) {
  for (std::uint16_t i = 1; i <= options_.instances; ++i) {
    Instance instance;
    instance.port = static_cast<std::uint16_t>(options_.listen.port + i);
    instance.name = nameOf(options_, instance.port);
    instances_.push_back(std::move(instance));
  }
}

Instances::~Instances() {
  isEnding_ = true;
  if (timer_) loop_.unwatch(timer_.get());
  signalAll(SIGTERM);
  waitForEnds(Clock::now() + kEndPatience);
  signalAll(SIGKILL);
  waitForEnds(Clock::now() + kKilledPatience);
}

Result<void> Instances::start() {
  timer_ = FileDescriptor(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  if (!timer_) return systemError("cannot create a timer", errno);
  if (auto watched = loop_.watch(timer_.get(), [this] { startDue(); }); !watched) return watched;
  const auto now = Clock::now();
  for (auto& instance : instances_) instance.startAt = now;
  startDue();
  return {};
}

void Instances::startDue() {
  std::uint64_t expirations = 0;
  [[maybe_unused]] const auto got = ::read(timer_.get(), &expirations, sizeof expirations);
  const auto now = Clock::now();
  for (auto& instance : instances_) {
    if (now < instance.startAt) continue;
    instance.startAt = kNever;
    startOne(instance);
  }
  arm();
}

void Instances::arm() {
  TimePoint first = kNever;
  for (const auto& instance : instances_) first = std::min(first, instance.startAt);
  itimerspec at{};
  if (first != kNever) {
    const auto wait = std::max<Duration>(first - Clock::now(), 1ms);
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(wait);
    at.it_value.tv_sec = seconds.count();
    at.it_value.tv_nsec = std::chrono::nanoseconds(wait - seconds).count();
  }
  ::timerfd_settime(timer_.get(), 0, &at, nullptr);
}

// At first an instance knows the entry, which names the others; they do not listen yet. Later it
// knows them, too, in case the entry has just moved.
void Instances::startOne(Instance& instance) {
  std::vector<Endpoint> others{entry_()};
  for (const auto& other : instances_) {
    const bool isKnown = instance.hasStarted && other.port != instance.port;
    if (isKnown) others.push_back({options_.listen.host, other.port});
  }
  for (const auto& other : options_.cluster) {
    const bool isKnown = std::find(others.begin(), others.end(), other) != others.end();
    if (!isKnown && others.size() < limits::kMetaservers) others.push_back(other);
  }
  instance.startedAt = Clock::now();
  if (auto forked = fork(instance, instanceArguments(options_, instance.port, others)); !forked) {
    startAgain(instance, forked.error().message);
  }
}

Result<void> Instances::fork(Instance& instance, const std::vector<std::string>& arguments) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return systemError("cannot create a pipe", errno);
  FileDescriptor output(ends[0]);
  const FileDescriptor input(ends[1]);
  ::fcntl(output.get(), F_SETFL, O_NONBLOCK);
  auto words = arguments;
  auto variables = environmentOfInstances();
  const auto wordPointers = pointersTo(words);
  const auto variablePointers = pointersTo(variables);
  const pid_t self = ::getpid();
  const pid_t process = ::fork();
  if (process < 0) return systemError("cannot start a process", errno);
  if (process == 0) {
    becomeInstance(self, input.get(), wordPointers.data(), variablePointers.data());
  }
  instance.process = process;
  instance.output = std::move(output);
  instance.line.clear();
  instance.hasStarted = true;
  const auto watched = loop_.watch(instance.output.get(), [this, &instance] {
    if (!readOutput(instance)) ended(instance);
  });
  if (!watched) {  // without the pipe its end would not be seen
    ::kill(process, SIGKILL);
    ::waitpid(process, nullptr, 0);
    instance.process = 0;
    instance.output.reset();
    return watched;
  }
  log::info("{} is started on {} (process {})", instance.name,
            Endpoint{options_.listen.host, instance.port}.text(), process);
  return {};
}

bool Instances::readOutput(Instance& instance) {
  std::array<char, kLineAtOnce> buffer{};
  for (int i = 0; i < kReadsAtOnce; ++i) {
    const auto got = ::read(instance.output.get(), buffer.data(), buffer.size());
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) return false;
    for (const char c : std::string_view(buffer.data(), static_cast<std::size_t>(got))) {
      if (c != '\n') instance.line += c;
      if (c != '\n' && instance.line.size() < kLineAtOnce) continue;
      log(instance, instance.line);
      instance.line.clear();
    }
  }
  return true;
}

// A line of its log is "HH:MM:SS level text", of information without the level. It is written with
// the time of here.
void Instances::log(const Instance& instance, std::string_view line) const {
  constexpr std::size_t kTimeBytes = 8;
  if (line.find(' ') == kTimeBytes && line[2] == ':') line.remove_prefix(kTimeBytes + 1);
  auto level = log::Level::info;
  const auto space = line.find(' ');
  const auto named = log::parseLevel(line.substr(0, space));
  if (named && space != std::string_view::npos) {
    level = *named;
    line.remove_prefix(space + 1);
  }
  if (log::enabled(level)) {
    log::write(level, fmt::format("{}: {}", escaped(instance.name), command::printable(line)));
  }
}

void Instances::ended(Instance& instance) {
  if (!instance.line.empty()) log(instance, std::exchange(instance.line, {}));
  loop_.unwatch(instance.output.get());
  instance.output.reset();
  int status = 0;
  while (::waitpid(instance.process, &status, 0) < 0 && errno == EINTR) {
  }
  instance.process = 0;
  if (isEnding_) return;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    log::info("{} has ended, as it was told to: it is not started again", instance.name);
    return;
  }
  startAgain(instance, howItEnded(status));
  arm();
}

void Instances::startAgain(Instance& instance, const std::string& why) {
  const auto now = Clock::now();
  const bool wasSteady = now - instance.startedAt >= kSteady;
  instance.pause = wasSteady
                       ? kRestartPauseLeast
                       : std::clamp(instance.pause * 2, kRestartPauseLeast, kRestartPauseMost);
  instance.startAt = now + instance.pause;
  log::warning("{} died ({}): it is started again in {:.1f} s", instance.name, why,
               std::chrono::duration<double>(instance.pause).count());
}

void Instances::waitForEnds(TimePoint until) {
  while (true) {
    std::vector<pollfd> left;
    for (auto& instance : instances_) {
      if (instance.process == 0) continue;
      if (!readOutput(instance)) {
        ended(instance);
      } else {
        left.push_back({instance.output.get(), POLLIN, 0});
      }
    }
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    if (left.empty() || wait <= 0ms) return;
    ::poll(left.data(), left.size(), static_cast<int>(wait.count()));
  }
}

void Instances::signalAll(int signal) const {
  for (const auto& instance : instances_) {
    if (instance.process != 0) ::kill(instance.process, signal);
  }
}

}  // namespace espalier::metaserver::shell
