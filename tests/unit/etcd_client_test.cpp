// The client of etcd's JSON gateway: URLs, messages, TLS, passwords, and servers that are no etcd.
#include <Poco/Net/ServerSocket.h>
#include <Poco/Net/StreamSocket.h>
#include <doctest/doctest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <thread>

#include "metaserver/etcd/client.h"
#include "tests/unit/etcd_fixture.h"

using namespace espalier;
using namespace espalier::metaserver;
using namespace espalier::metaserver::etcd;
using namespace espalier::metaserver::etcd::test;
namespace messages = espalier::metaserver::cluster::etcd;

namespace {

// Answers every connection with these bytes, then closes it or goes on for ever.
class FakeServer {
 public:
  explicit FakeServer(std::string bytes, bool repeats = false)
      : bytes_(std::move(bytes)),
        repeats_(repeats),
        socket_(Poco::Net::SocketAddress("127.0.0.1", 0)) {
    thread_ = std::jthread([this](const std::stop_token& stop) {
      while (!stop.stop_requested()) serveOne(stop);
    });
  }
  std::string url() const { return fmt::format("http://127.0.0.1:{}", socket_.address().port()); }

 private:
  void serveOne(const std::stop_token& stop) {
    if (!socket_.poll({0, 20'000}, Poco::Net::Socket::SELECT_READ)) return;
    auto stream = socket_.acceptConnection();
    stream.setSendTimeout({1, 0});
    char request[4096];
    try {
      stream.receiveBytes(request, sizeof request);
      do {
        for (std::size_t sent = 0; sent < bytes_.size();) {
          sent += static_cast<std::size_t>(stream.sendBytes(
              bytes_.data() + sent, static_cast<int>(bytes_.size() - sent), MSG_NOSIGNAL));
        }
      } while (repeats_ && !stop.stop_requested());
    } catch (const std::exception&) {
      // The client has closed it.
    }
  }
  const std::string bytes_;
  const bool repeats_;
  Poco::Net::ServerSocket socket_;
  std::jthread thread_;
};

std::string troubleWith(const std::vector<std::string>& urls) {
  Process process;
  auto& server = process.add(0, urls);
  REQUIRE(process.runUntil([&] { return !server.engine->core().trouble().empty(); }));
  return server.engine->core().trouble();
}

std::string http(std::string_view type, std::string_view body) {
  return fmt::format("HTTP/1.1 200 OK\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n{}", type,
                     body.size(), body);
}

bool holds(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

// A key and a self-signed certificate for these names, as PEM files.
void writeCertificate(const std::string& keyFile, const std::string& certificateFile,
                      const char* names) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), X509_free);
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  X509_set_pubkey(certificate.get(), key.get());
  auto* name = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("etcd of a test"), -1, -1, 0);
  X509_set_issuer_name(certificate.get(), name);
  for (const auto& [kind, value] : {std::pair{NID_subject_alt_name, names},
                                    std::pair{NID_basic_constraints, "critical,CA:TRUE"}}) {
    auto* extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value);
    X509_add_ext(certificate.get(), extension, -1);
    X509_EXTENSION_free(extension);
  }
  X509_sign(certificate.get(), key.get(), EVP_sha256());
  auto* file = ::fopen(keyFile.c_str(), "w");
  PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  ::fclose(file);
  file = ::fopen(certificateFile.c_str(), "w");
  PEM_write_X509(file, certificate.get());
  ::fclose(file);
}

}  // namespace

TEST_CASE("a URL of etcd has a scheme, perhaps user and password, a host, and perhaps a port") {
  CHECK(parseUrl("http://etcd.example:2380")->at == Endpoint{"etcd.example", 2380});
  CHECK(parseUrl("https://[::1]/")->at == Endpoint{"::1", 2379});
  const auto url = parseUrl("https://ann:p%40s:s%2F@10.0.0.1");
  REQUIRE(url);
  CHECK(url->user == "ann");
  CHECK(url->password == "p@s:s/");
  CHECK(url->text() == "https://10.0.0.1:2379");
}

TEST_CASE("what is no URL of etcd is refused without repeating a password") {
  for (const std::string text :
       {"", "etcd", "ftp://a:1", "http://", "http://a:0", "http://a:b", "http://secret@a",
        "http://:secret@a", "http://a b:1", "x://u:secret@a", "http://u:secret%zz@a",
        "http://u:secret@a/path"}) {
    CAPTURE(text);
    const auto url = parseUrl(text);
    REQUIRE_FALSE(url);
    CHECK(url.error().code == ErrorCode::usage);
    CHECK_FALSE(holds(url.error().message, "secret"));
  }
  const std::string longest = "http://a" + std::string(limits::kEtcdUrlBytes - 8, '/');
  CHECK_FALSE(holds(parseUrl(longest).error().message, "bytes, more than"));
  CHECK(holds(parseUrl(longest + "/").error().message, "bytes, more than"));
}

TEST_CASE("a candidate is read back as it was written") {
  auto one = test::candidate(3);
  one.priority = limits::kServerPriority;
  one.peers = 7;
  one.drains = true;
  one.address = {"::1", 65535};
  const auto back = decodeCandidate(encodeCandidate(one));
  REQUIRE(back);
  CHECK(back->name == one.name);
  CHECK(back->number == one.number);
  CHECK(back->address == one.address);
  CHECK(back->started == one.started);
  CHECK(back->priority == one.priority);
  CHECK(back->peers == one.peers);
  CHECK(back->drains);
}

TEST_CASE("a value that is no candidate is none") {
  const auto good = nlohmann::json::parse(encodeCandidate(test::candidate(3)));
  REQUIRE(decodeCandidate(good.dump()));
  for (const auto& [name, bad] : std::vector<std::pair<std::string, nlohmann::json>>{
           {"name", ""},
           {"name", "a b"},
           {"name", 3},
           {"number", 0},
           {"number", 65536},
           {"address", "a b:1"},
           {"address", "1.2.3.4:0"},
           {"started", -1},
           {"priority", limits::kServerPriority + 1},
           {"peers", "x"}}) {
    auto value = good;
    value[name] = bad;
    CAPTURE(value.dump());
    CHECK_FALSE(decodeCandidate(value.dump()));
  }
  CHECK_FALSE(decodeCandidate(""));
  CHECK_FALSE(decodeCandidate("[]"));
  CHECK_FALSE(decodeCandidate(R"({"name":"m0"})"));
}

TEST_CASE("answers of another form are errors") {
  const messages::Request grant{1, messages::LeaseGrant{3s}};
  const messages::Request range{1, messages::Range{"a", "b", 0, 0}};
  for (const std::string body : {"", "x", "[]", "{}", R"({"ID":"x","TTL":"3"})", R"({"ID":"7"})",
                                 R"({"ID":{},"TTL":"3"})"}) {
    CAPTURE(body);
    CHECK_FALSE(readAnswer(grant, body));
  }
  for (const std::string body :
       {R"({"header":{}})", R"({"header":{"revision":"0"}})", R"({"header":7})",
        R"({"header":{"revision":"9"},"kvs":{}})", R"({"header":{"revision":"9"},"kvs":[7]})",
        R"({"header":{"revision":"9"},"kvs":[{"key":7}]})"}) {
    CAPTURE(body);
    CHECK_FALSE(readAnswer(range, body));
  }
  for (const std::string line : {"", "{}", R"({"result":{}})", R"({"result":[]})",
                                 R"({"result":{"header":{"revision":"3"},"events":[{}]}})"}) {
    CAPTURE(line);
    CHECK_FALSE(readWatchLine(line));
  }
}

TEST_CASE("an etcd that answers HTML, nonsense or nothing is told in one sentence") {
  const FakeServer html(http("text/html", "<html>hello</html>"));
  CHECK(troubleWith({html.url()}) ==
        html.url() + ": it answers with text/html and HTTP status 200, not with JSON: is it etcd?");
  const FakeServer nonsense(http("application/json", "]\x1b"));
  CHECK(troubleWith({nonsense.url()}) ==
        nonsense.url() + ": no answer of etcd: \"]\\x1b\" is no JSON object");
  const FakeServer shut("");
  CHECK(troubleWith({shut.url()}).starts_with(shut.url() + ": "));
  const auto closed = fmt::format("http://127.0.0.1:{}", freePort());
  CHECK(holds(troubleWith({closed}), "refused"));
}

TEST_CASE("an answer without end is cut at its limit") {
  const FakeServer endless(
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + std::string(1 << 20, ' '),
      true);
  const auto text = troubleWith({endless.url()});
  CAPTURE(text);
  const bool isCut = holds(text, "its answer has more than") || holds(text, "takes too long");
  CHECK(isCut);
}

TEST_CASE("a server that never answers costs its limit of time, and the end does not wait for it") {
  Poco::Net::ServerSocket silent(Poco::Net::SocketAddress("127.0.0.1", 0));
  const auto url = fmt::format("http://127.0.0.1:{}", silent.address().port());
  CHECK(holds(troubleWith({url}), "no answer within"));

  auto loop = *net::EventLoop::create();
  auto client = Client::start({{url}, ""}, *loop, [](const auto&) {});
  REQUIRE(client);
  (*client)->send({1, messages::LeaseGrant{3s}});
  (*client)->send({2, messages::Range{"a", "", 0, 0}});
  (*client)->send({3, messages::Watch{"a", "", 1}});
  silent.acceptConnection();  // a worker waits for its answer now, or soon
  const TimePoint begin = Clock::now();
  client->reset();
  CHECK(Clock::now() - begin < 500ms);
}

TEST_CASE("more requests than may wait fail, and all are answered") {
  Poco::Net::ServerSocket silent(Poco::Net::SocketAddress("127.0.0.1", 0));
  auto loop = *net::EventLoop::create();
  std::size_t answered = 0;
  auto client = Client::start({{fmt::format("http://127.0.0.1:{}", silent.address().port())}, ""},
                              *loop, [&](const messages::Answer& answer) {
                                CHECK(std::holds_alternative<messages::Failed>(answer.what));
                                if (++answered == 2) loop->stop();
                              });
  REQUIRE(client);
  for (std::uint64_t number = 0; number < limits::kEtcdRequests + 3; ++number) {
    (*client)->send({number, messages::Range{"a", "", 0, 0}});
  }
  loop->run();
  CHECK(answered >= 2);
}

TEST_CASE("with https the certificate is checked, by the given file and for the given host") {
  TemporaryFolder folder;
  const auto key = folder.path() + "/key.pem";
  const auto certificate = folder.path() + "/certificate.pem";
  writeCertificate(key, certificate, "DNS:localhost,IP:127.0.0.1");
  EtcdCluster etcd(1, {"https", {"--cert-file", certificate, "--key-file", key}});
  auto byName = etcd.urls[0];
  byName.replace(byName.find("127.0.0.1"), 9, "localhost");
  {
    Process process;
    auto& byAddress = process.add(0, etcd.urls, certificate);
    process.runUntil([&] { return byAddress.engine->isMaster(); }, 4s);
    INFO(byAddress.engine->core().trouble());
    CHECK(byAddress.engine->isMaster());
    auto& second = process.add(1, {byName}, certificate);
    CHECK(process.runUntil([&] { return second.engine->core().candidates().size() == 2; }));
  }
  const auto text = troubleWith({byName});  // the system does not know that certificate
  MESSAGE(text);
  CHECK(holds(text, "ertificate"));
  auto loop = *net::EventLoop::create();
  const auto missing = Client::start({{byName}, folder.path() + "/none.pem"}, *loop, [](auto&) {});
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == ErrorCode::configuration);
}

TEST_CASE("with https a certificate for another host is refused") {
  TemporaryFolder folder;
  const auto key = folder.path() + "/key.pem";
  const auto certificate = folder.path() + "/certificate.pem";
  writeCertificate(key, certificate, "DNS:etcd.example");
  EtcdCluster etcd(1, {"https", {"--cert-file", certificate, "--key-file", key}});
  Process process;
  auto& server = process.add(0, etcd.urls, certificate);
  const auto isRefused = [&] { return holds(server.engine->core().trouble(), "ertificate"); };
  CHECK(process.runUntil(isRefused));
  CAPTURE(server.engine->core().trouble());
  CHECK(isRefused());
}

TEST_CASE("with user and password in the URL etcd is used as that user") {
  EtcdCluster etcd(1);
  {
    Process process;
    auto& server = process.add(0, etcd.urls);
    REQUIRE(process.runUntil([&] { return server.engine->isMaster(); }));
    server.engine->leave();
    REQUIRE(process.runUntil([&] { return server.count<cluster::Left>() == 1; }));
  }
  const auto& url = etcd.urls[0];
  test::call(url, "/v3/auth/user/add", {{"name", "root"}, {"password", "p@ss"}});
  test::call(url, "/v3/auth/role/add", {{"name", "root"}});
  test::call(url, "/v3/auth/user/grant", {{"user", "root"}, {"role", "root"}});
  test::call(url, "/v3/auth/enable", nlohmann::json::object());
  const auto with = [&](const std::string& who) {
    auto text = url;
    return text.insert(7, who);
  };
  {
    Process process;
    auto& server = process.add(0, {with("root:p%40ss@")});
    CHECK(process.runUntil([&] { return server.engine->isMaster(); }));
    auto& second = process.add(1, {with("root:p%40ss@")});
    CHECK(process.runUntil([&] { return second.engine->core().master().has_value(); }));
  }
  const auto wrong = troubleWith({with("root:wrong@")});
  CHECK(holds(wrong, url + ": user and password: etcdserver: authentication failed"));
  CHECK_FALSE(holds(wrong, "wrong"));
  CHECK(holds(troubleWith({url}), "etcdserver: "));
}
