#include "metaserver/etcd/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/limits.h"
#include "common/base/signals.h"
#include "common/base/text.h"
#include "common/base/thread.h"

namespace espalier::metaserver::etcd {
namespace {

namespace messages = cluster::etcd;

bool isWatch(const messages::Request& request) {
  return std::holds_alternative<messages::Watch>(request.what);
}

Duration timeoutOf(const messages::Request& request) {
  const bool isRenewal = std::holds_alternative<messages::LeaseKeepAlive>(request.what);
  return isRenewal ? Duration(limits::kEtcdRenewalTimeout) : Duration(limits::kEtcdTimeout);
}

// Another etcd would say the same: the lease is gone, the revision is compacted, …
bool isFinal(int status) {
  return status >= 400 && status < 500 && status != 401 && status != 408 && status != 429;
}

}  // namespace

// ------------------------------------------------------------------------------------ answers

void Answers::put(messages::Answer answer) {
  {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] { return isClosed_ || answers_.size() < limits::kEtcdRequests; });
    if (isClosed_) return;
    answers_.push_back(std::move(answer));
  }
  wakeUp_.wake();
}

std::vector<messages::Answer> Answers::take() {
  wakeUp_.clear();
  std::vector<messages::Answer> answers;
  {
    const std::lock_guard lock(mutex_);
    answers.swap(answers_);
  }
  room_.notify_all();
  return answers;
}

void Answers::close() {
  {
    const std::lock_guard lock(mutex_);
    isClosed_ = true;
  }
  room_.notify_all();
}

// ------------------------------------------------------------------------------------ a worker

Worker::Worker(const std::vector<Url>& urls, TlsContext tls, const net::Interrupter& interrupter,
               Answers& answers)
    : urls_(urls), tls_(std::move(tls)), interrupter_(interrupter), answers_(answers) {}

Result<void> Worker::start() {
  return startThread(thread_, [this] { run(); });
}

bool Worker::add(messages::Request request) {
  std::shared_ptr<HttpConnection> watching;
  {
    const std::lock_guard lock(mutex_);
    if (isWatch(request)) {
      waiting_.clear();  // a newer one replaces them
      if (watch_ != 0) watching = connection_;
    } else if (waiting_.size() >= limits::kEtcdRequests) {
      return false;
    }
    waiting_.push_back(std::move(request));
  }
  added_.notify_one();
  if (watching) watching->cut();
  return true;
}

void Worker::stop() {
  std::shared_ptr<HttpConnection> connection;
  {
    const std::lock_guard lock(mutex_);
    isStopped_ = true;
    connection = connection_;
  }
  added_.notify_one();
  if (connection) connection->cut();
}

void Worker::run() {
  const QuietSignals quiet;
  while (auto request = next()) {
    if (isWatch(*request)) {
      watch(*request);
    } else {
      carryOut(*request);
    }
  }
}

std::optional<messages::Request> Worker::next() {
  std::unique_lock lock(mutex_);
  added_.wait(lock, [&] { return isStopped_ || !waiting_.empty(); });
  if (isStopped_) return std::nullopt;
  auto request = std::move(waiting_.front());
  waiting_.pop_front();
  watch_ = isWatch(request) ? request.number : 0;
  return request;
}

void Worker::goOn() {
  current_ = (current_ + 1) % urls_.size();
  token_.clear();
  const std::lock_guard lock(mutex_);
  connection_.reset();
}

void Worker::carryOut(const messages::Request& request) {
  answers_.put({request.number, ask(request)});
}

AnswerContent Worker::ask(const messages::Request& request) {
  const TimePoint end = Clock::now() + limits::kEtcdPatience;
  const Call call = callOf(request);
  std::string why;
  for (std::size_t tried = 0; tried < urls_.size(); ++tried) {
    const TimePoint now = Clock::now();
    if (now >= end || interrupter_.interrupted()) break;
    auto reply = post(call, std::min<Duration>(timeoutOf(request), end - now));
    std::string problem;
    if (!reply) {
      problem = reply.error().message;
    } else if (reply->status == 200) {
      auto answer = readAnswer(request, reply->body);
      if (answer) return *std::move(answer);
      problem = fmt::format("{}: no answer of etcd: {}", url().text(), answer.error().message);
    } else {
      problem = fmt::format("{}: {}", url().text(), readError(reply->body));
      if (isFinal(reply->status)) return messages::Failed{std::move(problem)};
    }
    if (!why.empty()) why += "; ";
    why += problem;
    goOn();
  }
  if (why.empty()) why = "interrupted";
  return messages::Failed{std::string(cutUtf8(why, limits::kMessageBytes))};
}

// With the token, which is got anew if etcd does not know it (any more).
Result<HttpReply> Worker::post(const Call& call, Duration timeout) {
  const bool hadToken = !token_.empty();
  if (const auto known = authenticate(timeout); !known) return known.error();
  auto reply = connection_->post({call.path, call.body, token_, timeout});
  if (!reply || reply->status != 401 || !hadToken) return reply;
  token_.clear();
  if (const auto known = authenticate(timeout); !known) return known.error();
  return connection_->post({call.path, call.body, token_, timeout});
}

Result<void> Worker::authenticate(Duration timeout) {
  if (!connection_) {
    auto connection = std::make_shared<HttpConnection>(url(), tls_, interrupter_);
    const std::lock_guard lock(mutex_);
    connection_ = std::move(connection);
  }
  if (url().user.empty() || !token_.empty()) return {};
  const Call call = authenticateCall(url().user, url().password);
  auto reply = connection_->post({call.path, call.body, "", timeout});
  if (!reply) return reply.error();
  auto token = reply->status == 200 ? readToken(reply->body)
                                    : Error{ErrorCode::refused, readError(reply->body)};
  if (!token) {
    return Error{ErrorCode::refused,
                 fmt::format("{}: user and password: {}", url().text(), token.error().message)};
  }
  token_ = *std::move(token);
  return {};
}

// ------------------------------------------------------------------------------------ watching

bool Worker::isReplaced(std::uint64_t watch) {
  const std::lock_guard lock(mutex_);
  return isStopped_ || watch_ != watch || !waiting_.empty();
}

void Worker::watch(const messages::Request& request) {
  const Call call = callOf(request);
  std::string why;
  const auto known = authenticate(limits::kEtcdTimeout);
  if (known) {
    const auto reply = connection_->stream(
        {call.path, call.body, token_, limits::kEtcdTimeout}, [&](std::string_view line) {
          if (isReplaced(request.number)) return false;
          auto content = readWatchLine(line);
          if (!content) {
            why = fmt::format("{}: no answer of etcd: {}", url().text(), content.error().message);
            return false;
          }
          if (const auto* ended = std::get_if<messages::WatchEnded>(&*content)) {
            why = ended->why;
            return false;
          }
          if (!std::get<messages::Watched>(*content).changes.empty()) {
            answers_.put({request.number, *std::move(content)});
          }
          return true;
        });
    if (why.empty()) why = reply ? readError(reply->body) : reply.error().message;
  } else {
    why = known.error().message;
  }
  {
    const std::lock_guard lock(mutex_);
    watch_ = 0;
  }
  // Also where another watch replaces this one: that is done when this one tells nothing.
  goOn();
  answers_.put({request.number, messages::WatchEnded{std::move(why)}});
}

// ------------------------------------------------------------------------------------ the client

Result<std::unique_ptr<Client>> Client::start(const Config& config, net::EventLoop& loop,
                                              OnAnswer onAnswer) {
  if (config.urls.empty() || config.urls.size() > limits::kEtcdUrls) {
    return Error{ErrorCode::usage,
                 fmt::format("{} of etcd, where 1 to {} are wanted",
                             counted(config.urls.size(), "URL"), limits::kEtcdUrls)};
  }
  std::vector<Url> urls;
  TlsContext tls;
  for (const auto& text : config.urls) {
    auto url = parseUrl(text);
    if (!url) return url.error();
    if (url->isSecure && !tls) {
      auto context = makeTlsContext(config.caFile);
      if (!context) return context.error();
      tls = *context;
    }
    urls.push_back(*std::move(url));
  }
  std::unique_ptr<Client> client(new Client(std::move(urls), tls, loop, std::move(onAnswer)));
  for (Worker* worker : {&client->leases_, &client->keys_, &client->watches_}) {
    if (auto started = worker->start(); !started) return started.error();
  }
  auto watched = loop.watch(client->answers_.descriptor(), [raw = client.get()] {
    for (const auto& answer : raw->answers_.take()) raw->onAnswer_(answer);
  });
  if (!watched) return watched.error();
  return client;
}

Client::Client(std::vector<Url> urls, const TlsContext& tls, net::EventLoop& loop,
               OnAnswer onAnswer)
    : urls_(std::move(urls)),
      loop_(loop),
      onAnswer_(std::move(onAnswer)),
      leases_(urls_, tls, interrupter_, answers_),
      keys_(urls_, tls, interrupter_, answers_),
      watches_(urls_, tls, interrupter_, answers_) {}

Client::~Client() {
  loop_.unwatch(answers_.descriptor());
  interrupter_.interrupt();
  answers_.close();
  for (Worker* worker : {&leases_, &keys_, &watches_}) worker->stop();
}

void Client::send(messages::Request request) {
  const std::uint64_t number = request.number;
  const bool isLease = std::holds_alternative<messages::LeaseGrant>(request.what) ||
                       std::holds_alternative<messages::LeaseKeepAlive>(request.what) ||
                       std::holds_alternative<messages::LeaseRevoke>(request.what);
  Worker& worker = isLease ? leases_ : isWatch(request) ? watches_ : keys_;
  if (worker.add(std::move(request))) return;
  // On the loop, but not from within this call.
  loop_.post([this, number, alive = std::weak_ptr<int>(alive_)] {
    if (!alive.expired()) onAnswer_({number, messages::Failed{"too many requests wait for etcd"}});
  });
}

std::string Client::urlsText() const {
  std::string text;
  for (const auto& url : urls_) text += (text.empty() ? "" : ", ") + url.text();
  return text;
}

}  // namespace espalier::metaserver::etcd
