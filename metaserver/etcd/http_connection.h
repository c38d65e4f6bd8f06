// One HTTP connection of one thread to one etcd, over POCO: posts a JSON body, and reads the answer
// as a whole or line by line. With https the certificate is checked against the host of the URL.
//
//   closed --post()--> open, reused while etcd keeps it --a failure, an error's answer--> closed
//
// Every wait for bytes has a time limit, a body has limits::kEtcdAnswerBytes at most. Errors:
//
//   io, timeout   no connection, or it broke: whether etcd got the request is not known
//   protocol      it is no etcd that answers: no JSON, too many bytes
//   interrupted   cut()
//
// One thread at a time uses it. cut() may be called from any thread: it ends the call that is under
// way. Owned by a worker of the client.
#pragma once

#include <Poco/Net/Context.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "common/base/guarded.h"
#include "common/base/result.h"
#include "common/net/byte_stream.h"
#include "common/net/interrupter.h"
#include "metaserver/etcd/url.h"

namespace Poco::Net {
class HTTPClientSession;
}

namespace espalier::metaserver::etcd {

using TlsContext = Poco::Net::Context::Ptr;
// Trusts the certificates of that file (PEM), or those of the system if it is empty. An error has
// the code `configuration`.
Result<TlsContext> makeTlsContext(const std::string& caFile);

struct HttpReply {
  int status = 0;
  std::string body;
};

class HttpConnection {
 public:
  struct Post {
    std::string path;
    std::string body;
    std::string token;  // empty: none
    Duration timeout{};
  };
  // False: enough.
  using Line = std::function<bool(std::string_view line)>;

  // `tls` is for https only. `interrupter` outlives this.
  HttpConnection(Url url, TlsContext tls, const net::Interrupter& interrupter);
  ~HttpConnection();
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  Result<HttpReply> post(const Post& post);
  // Calls `line` for each line of an answer with status 200, without limit of time once the first
  // one is there. Other answers are returned. Returns when the answer ends or `line` says so.
  Result<HttpReply> stream(const Post& post, const Line& line);
  // Ends the call that is under way, if there is one. Any thread.
  void cut();

 private:
  using Exchange = std::function<Result<HttpReply>(Poco::Net::HTTPClientSession&)>;

  Result<HttpReply> attempt(const Post& post, const Exchange& exchange);
  Result<void> open(Duration timeout);
  void close();
  void send(const Post& post);
  Error failure(std::string_view what, ErrorCode code) const;

  const Url url_;
  const TlsContext tls_;
  const net::Interrupter& interrupter_;
  std::unique_ptr<Poco::Net::HTTPClientSession> session_;
  TimePoint usedAt_;
  // The same socket as the session's, by a descriptor of its own: cut() needs no session.
  Guarded<std::unique_ptr<net::ByteStream>> raw_;
};

}  // namespace espalier::metaserver::etcd
