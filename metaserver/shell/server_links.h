// The connections to the other metaservers of the cluster: dials them, introduces both ends, and
// passes what arrives to the coordinator's owner.
//
//   dialled --Welcome--> introducing --Introduction--> proving --Proof--> linked --> closed
//   accepted --Hello-->      |                            +- without a secret at once
//                            +--they do not agree, or it is no metaserver--> refused
//
// An address is dialled every limits::kServerDial until it leads to a metaserver that is linked,
// and again when that link ends: at once if it has lasted for as long. Addresses are those that the
// user has named, and those of metaservers that others of the cluster name. One that leads to this
// process itself is forgotten.
//
// A secret, if there is one, is proved by both ends before anything else is said
// (common/crypto/cluster_proof.h). Without one only metaservers on this machine are let in.
//
// Bounds: limits::kServerAddresses addresses, one dial each at a time; introductions are over
// within limits::kHelloTimeout; what is not linked is a guest (framed_connection.h).
//
// Thread rule: the loop's thread only. Owned by Server.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/net/event_loop.h"
#include "common/net/handshake.h"
#include "common/wire/cluster_message.h"
#include "metaserver/core/cluster/coordinator.h"

namespace espalier::metaserver::shell {

// What happens on links. Server implements it.
class ServerLinksOwner {
 public:
  virtual wire::Introduction introduce() = 0;
  virtual Result<void> agreesWith(const wire::Introduction& other) = 0;
  virtual void linked(const cluster::Coordinator::Opened& opened) = 0;
  virtual void linkClosed(ConnectionId connection) = 0;
  virtual void linkReceived(ConnectionId connection, wire::ClusterFrame frame) = 0;
  // Whether a connection to that metaserver is kept.
  virtual bool isLinkedTo(ServerNumber number) = 0;
  // Of a metaserver that has proved who it is. An error: it has the name (`refused`) or the number
  // (`failed`) of this one. Then one of them takes another: this one if givesWayTo().
  virtual Result<void> differsFrom(const wire::ServerState& other) = 0;
  virtual bool givesWayTo(const wire::ServerState& other) = 0;
  // Takes another name or number. An error: it cannot, and what the user is to do.
  virtual Result<void> giveWay(const Error& taken) = 0;
  // The first answer of an address that the user has named: it is linked, or why not.
  virtual void namedAnswered(const Endpoint& address, const Result<void>& answer) = 0;

 protected:
  ~ServerLinksOwner() = default;
};

class ServerLinks final : private net::ConnectionHandler {
 public:
  // `newConnection` returns a new id for an outgoing connection.
  ServerLinks(net::EventLoop& loop, ServerLinksOwner& owner, std::string secret,
              std::function<ConnectionId()> newConnection);

  // --- events
  // A connection of purpose `cluster` has said Hello.
  void accepted(net::FramedConnection& connection, const wire::Hello& hello);
  // Dials what is due. `known`: the metaservers without a connection that others name.
  void dialDue(TimePoint now, const std::vector<wire::ServerState>& known);
  TimePoint deadline() const { return dialAt_; }
  // As soon as possible, because a link has ended.
  void dialSoon() { dialAt_ = TimePoint::min(); }

  // A user names it. False: too many are known.
  bool add(const Endpoint& address, bool isNamed);
  // Of a metaserver that is to be forgotten.
  void remove(const Endpoint& address) { addresses_.erase(address); }
  bool knows(const Endpoint& address) const { return addresses_.contains(address); }
  bool hasAddresses() const { return !addresses_.empty(); }
  std::size_t namedCount() const;
  std::vector<Endpoint> addresses() const;
  // The metaserver that was linked at that address last.
  std::optional<ServerNumber> leadsTo(const Endpoint& address) const;
  // Why it is not linked. Empty: it is, or no answer has come.
  std::string problemOf(const Endpoint& address) const;
  void send(ConnectionId connection, const wire::ClusterMessage& message,
            const std::optional<wire::Route>& route);
  void close(const cluster::MeshEffects::Close& close);

 private:
  struct Address {
    bool isNamed = false;
    bool isAnswered = false;               // the owner was told
    std::optional<ConnectionId> dialling;  // or introducing
    std::optional<ServerNumber> leadsTo;
    std::string told;    // the latest failure that was logged
    TimePoint dialFrom;  // not before: its options differ
  };
  struct Link {
    bool dialledHere = false;
    std::uint64_t dial = 0;
    std::optional<Endpoint> address;  // that was dialled
    wire::Introduction mine;
    std::optional<wire::Introduction> other;
    bool isLinked = false;
    TimePoint linkedAt{};
    bool isTaken = false;  // the other end has said something since
    bool isAgain = false;  // another one follows, under another name or number: this is no answer
  };

  void onFrame(net::FramedConnection& connection, std::string_view payload) override;
  void onClosed(net::FramedConnection& connection, const Error& why) override;

  void dial(const Endpoint& address);
  void welcomed(net::FramedConnection& connection);
  void failed(ConnectionId connection, const Error& why);
  void introduced(net::FramedConnection& connection, Link& link, wire::Introduction introduction);
  void proved(net::FramedConnection& connection, Link& link, const wire::Proof& proof);
  void sendIntroduction(net::FramedConnection& connection, Link& link);
  void sendProof(net::FramedConnection& connection, const Link& link);
  void link(net::FramedConnection& connection, Link& link);
  void alike(net::FramedConnection& connection, Link& link, const Error& taken);
  void giveWay(net::FramedConnection& connection, Link& link, const Error& taken);
  void refuse(net::FramedConnection& connection, const Error& why);
  void answered(const Endpoint& address, const Result<void>& answer);
  const std::string& frameOf(const wire::Delta& delta);

  struct EncodedDelta {
    wire::DirectoryVersion version;
    std::string frame;
  };

  net::EventLoop& loop_;
  ServerLinksOwner& owner_;
  const std::string secret_;
  const std::function<ConnectionId()> newConnection_;
  net::WelcomeHandler welcomer_;
  std::map<Endpoint, Address> addresses_;
  std::map<ConnectionId, Link> links_;
  std::map<ConnectionId, Endpoint> dialled_;  // before the Welcome
  std::uint64_t dials_ = 0;
  TimePoint dialAt_ = TimePoint::min();
  EncodedDelta lastDelta_;
};

}  // namespace espalier::metaserver::shell
