// Carries requests to one of several etcds, and hands the answers to the event loop.
//
//   send() --> lease worker   LeaseGrant, LeaseKeepAlive, LeaseRevoke: never behind anything slow
//          --> keys worker    Range, Txn, in their order
//          --> watch worker   the latest Watch; another one ends it
//                 |
//                 +--> answers --> onAnswer, on the loop
//
// Each worker keeps to one etcd as long as it answers, and goes on to the next one when it does
// not, or says that it has no leader: so a dead etcd of three costs one request a wait of
// limits::kEtcdRenewalTimeout or kEtcdTimeout. A request fails when all etcds were tried, or after
// limits::kEtcdPatience. It may then have been carried out all the same, and one that was tried
// twice may have been carried out twice: mastership.h says why that does no harm.
//
// With user and password in the URL a worker gets a token first, and again when it is refused.
//
// Threads: three, started by start(), ended and joined by the destructor within some milliseconds
// (a look-up of a name is left behind). All public functions and onAnswer: on the loop's thread.
// At most limits::kEtcdRequests wait for a worker and as many answers for the loop: one request
// more fails at once; a worker waits.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/base/result.h"
#include "common/base/wake_up.h"
#include "common/net/event_loop.h"
#include "common/net/interrupter.h"
#include "metaserver/core/cluster/etcd_messages.h"
#include "metaserver/etcd/http_connection.h"
#include "metaserver/etcd/json.h"
#include "metaserver/etcd/url.h"

namespace espalier::metaserver::etcd {

// Of all workers, until the loop takes them. Thread-safe.
class Answers {
 public:
  // Waits while limits::kEtcdRequests are there, unless it is closed.
  void put(cluster::etcd::Answer answer);
  std::vector<cluster::etcd::Answer> take();
  void close();
  int descriptor() const { return wakeUp_.descriptor(); }

 private:
  const WakeUp wakeUp_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable room_;
  std::vector<cluster::etcd::Answer> answers_;
  bool isClosed_ = false;
};

// One thread with one connection at a time. Public functions: any thread.
class Worker {
 public:
  Worker(const std::vector<Url>& urls, TlsContext tls, const net::Interrupter& interrupter,
         Answers& answers);

  Result<void> start();
  // False: too many wait.
  bool add(cluster::etcd::Request request);
  // After the interrupter was called: ends what is under way. The destructor joins.
  void stop();

 private:
  void run();
  std::optional<cluster::etcd::Request> next();
  void carryOut(const cluster::etcd::Request& request);
  void watch(const cluster::etcd::Request& request);
  AnswerContent ask(const cluster::etcd::Request& request);
  Result<HttpReply> post(const Call& call, Duration timeout);
  Result<void> authenticate(Duration timeout);
  const Url& url() const { return urls_[current_]; }
  void goOn();  // to the next etcd
  bool isReplaced(std::uint64_t watch);

  const std::vector<Url> urls_;
  const TlsContext tls_;
  const net::Interrupter& interrupter_;
  Answers& answers_;
  std::size_t current_ = 0;  // of urls_
  std::string token_;
  std::shared_ptr<HttpConnection> connection_;  // written by the thread, under the mutex

  std::mutex mutex_;  // guards what follows, and connection_
  std::condition_variable added_;
  std::deque<cluster::etcd::Request> waiting_;
  std::uint64_t watch_ = 0;  // the one that is under way
  bool isStopped_ = false;
  std::jthread thread_;
};

class Client {
 public:
  using OnAnswer = std::function<void(const cluster::etcd::Answer&)>;

  struct Config {
    std::vector<std::string> urls;  // 1 to limits::kEtcdUrls
    std::string caFile;             // for https; empty: the system's certificates
  };

  // Errors have the code `usage` (a URL), `configuration` (certificates) or `io` (no thread is
  // left).
  static Result<std::unique_ptr<Client>> start(const Config& config, net::EventLoop& loop,
                                               OnAnswer onAnswer);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void send(cluster::etcd::Request request);
  // For messages: "http://a:2379, http://b:2379".
  std::string urlsText() const;

 private:
  Client(std::vector<Url> urls, const TlsContext& tls, net::EventLoop& loop, OnAnswer onAnswer);

  const std::vector<Url> urls_;
  net::EventLoop& loop_;
  OnAnswer onAnswer_;
  const std::shared_ptr<int> alive_ = std::make_shared<int>();  // for posted functions
  net::Interrupter interrupter_;
  Answers answers_;
  Worker leases_;
  Worker keys_;
  Worker watches_;
};

}  // namespace espalier::metaserver::etcd
