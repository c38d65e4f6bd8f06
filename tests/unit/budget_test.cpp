#include "common/base/budget.h"

#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <utility>

namespace espalier {
namespace {

using namespace std::chrono_literals;
using limits::Held;
using limits::Rate;

constexpr limits::HeldBounds kHeld{{{2, 5}, {100, 250}, {10, 20}}};
constexpr limits::RateBounds kRates{{{1, 3, 100, 100}, {1, 2, 1, 3}}};

TEST_SUITE("budget") {
  TEST_CASE("a payer that uses up its part takes nothing from another payer") {
    Budget budget(kHeld, kRates);
    auto first = budget.account(Payer::host("10.0.0.1"));
    auto second = budget.account(Payer::host("10.0.0.2"));
    CHECK(first.take(Held::guests, 2));
    CHECK_FALSE(first.take(Held::guests));
    CHECK(second.take(Held::guests, 2));
    CHECK(budget.held(Held::guests) == 4);
    CHECK(budget.refused(Held::guests) == 1);
    first.giveBack(Held::guests);
    CHECK(first.take(Held::guests));
  }

  TEST_CASE("all payers together stay within the bound of the process") {
    Budget budget(kHeld, kRates);
    for (int i = 1; i <= 2; ++i) {
      CHECK(
          budget.account(Payer::host("10.0.0." + std::to_string(i))).take(Held::queuedBytes, 100));
    }
    auto third = budget.account(Payer::host("10.0.0.3"));
    CHECK_FALSE(third.take(Held::queuedBytes, 51));
    CHECK(third.take(Held::queuedBytes, 50));
    CHECK_FALSE(third.take(Held::queuedBytes, ~std::uint64_t{0}));
  }

  TEST_CASE("an IPv6 subscriber is one payer, whatever the last 64 bits of its addresses") {
    CHECK(Payer::host("2001:db8:0:1::1") == Payer::host("2001:DB8:0:1:ffff:0:1:2"));
    CHECK(Payer::host("2001:db8::1:0:0:0:1") == Payer::host("2001:db8:0:1::"));
    CHECK(Payer::host("2001:db8:0:1::1") != Payer::host("2001:db8:0:2::1"));
    CHECK(Payer::host("2001:db8:0:1::1").text() == "2001:db8:0:1::/64");
    CHECK(Payer::host("::ffff:10.0.0.1") == Payer::host("10.0.0.1"));
    CHECK(Payer::host("::ffff:a00:1") == Payer::host("10.0.0.1"));
    CHECK(Payer::host("fe80::1%eth0") == Payer::host("fe80::2%eth1"));
    CHECK(Payer::host("Host.example") == Payer::host("host.EXAMPLE"));
    CHECK(Payer::host("10.0.0.1") != Payer::member(*PeerId::parse("10.0.0.1")));
    CHECK(Payer::endpoint({"10.0.0.1", 1}) != Payer::endpoint({"10.0.0.1", 2}));
  }

  TEST_CASE("loopback has the part of 64 peers") {
    for (const std::string host : {"127.0.0.1", "127.8.0.1", "::1", "0:0:0:0:0:0:0:1",
                                   "::ffff:127.0.0.1", "localhost", ""}) {
      CAPTURE(host);
      CHECK(Payer::host(host).isLoopback());
    }
    for (const std::string host : {"128.0.0.1", "::2", "127.example", "1::1", "::ffff:126.0.0.1"}) {
      CAPTURE(host);
      CHECK_FALSE(Payer::host(host).isLoopback());
    }
    Budget budget({{{2, 1000}, {1, 50}, {1, 1}}}, kRates);
    auto local = budget.account(Payer::host("127.0.0.1"));
    CHECK(local.take(Held::guests, 2 * limits::kLoopbackPeers));
    CHECK_FALSE(local.take(Held::guests));
    CHECK(local.take(Held::queuedBytes, 50));  // the process's bound holds all the same
    CHECK_FALSE(local.take(Held::queuedBytes));
  }

  TEST_CASE("whom this process dials is a machine or a port of it, also in one network of IPv6") {
    CHECK(Payer::machine("2001:db8:0:1::1") != Payer::machine("2001:db8:0:1::2"));
    CHECK(Payer::machine("2001:db8:0:1::1") == Payer::machine("2001:DB8::1:0:0:0:1"));
    CHECK(Payer::machine("::ffff:10.0.0.1") == Payer::machine("10.0.0.1"));
    CHECK(Payer::machine("10.0.0.1") != Payer::host("10.0.0.1"));
    CHECK(Payer::endpoint({"fe80::1", 5001}) != Payer::endpoint({"fe80::2", 5001}));
    CHECK(Payer::machine("::1").isLoopback());
    CHECK(Payer::machine("127.0.0.1").isLoopback());
    CHECK_FALSE(Payer::endpoint({"127.0.0.1", 1}).isLoopback());
  }

  TEST_CASE("of an act that several pay, the process pays once, and one alone pays nothing") {
    Budget budget(kHeld, {{{1, 3, 0, 5}}});
    const TimePoint now{1h};
    const auto a = budget.account(Payer::host("10.0.0.1"));
    const auto b = budget.account(Payer::host("10.0.0.2"));
    for (int i = 0; i < 3; ++i) CHECK(Account::spend({a, b}, Rate::dials, now));
    const auto c = budget.account(Payer::host("10.0.0.3"));
    CHECK_FALSE(Account::spend({c, a}, Rate::dials, now));
    CHECK(Account::spend({c, Account()}, Rate::dials, now));
    CHECK(Account::spend({c}, Rate::dials, now));
    CHECK_FALSE(Account::spend({c}, Rate::dials, now));  // the process has spent its five
    CHECK(Account::spend({Account()}, Rate::dials, now));
  }

  TEST_CASE("who owes waits, at most for as long as a full bucket takes to fill") {
    Budget budget(kHeld, {{{1, 3, 1000, 1000}}});
    auto payer = budget.account(Payer::host("10.0.0.1"));
    TimePoint now{1h};
    payer.owe(Rate::dials, now, 4);
    CHECK_FALSE(payer.spend(Rate::dials, now));
    CHECK(payer.affordableAt(Rate::dials, now) <= now + 2001ms);
    CHECK(payer.spend(Rate::dials, now += 2001ms));
    payer.owe(Rate::dials, now, 900);
    CHECK(payer.affordableAt(Rate::dials, now) <= now + 4001ms);
    now += 1h;
    for (int i = 0; i < 3; ++i) CHECK(payer.spend(Rate::dials, now));
    payer.owe(Rate::dials, now, -1);
    CHECK(payer.spend(Rate::dials, now));
    CHECK_FALSE(payer.spend(Rate::dials, now));
  }

  TEST_CASE("a bucket refills, and no further than its burst") {
    Budget budget(kHeld, kRates);
    auto payer = budget.account(Payer::host("10.0.0.1"));
    TimePoint now{1h};
    for (int i = 0; i < 3; ++i) CHECK(payer.spend(Rate::dials, now));
    CHECK_FALSE(payer.spend(Rate::dials, now));
    CHECK(budget.refused(Rate::dials) == 1);
    const auto next = payer.affordableAt(Rate::dials, now);
    CHECK(next > now);
    CHECK(next <= now + 1001ms);
    CHECK(payer.spend(Rate::dials, next));
    now += 1h;
    CHECK(payer.affordableAt(Rate::dials, now) == now);
    for (int i = 0; i < 3; ++i) CHECK(payer.spend(Rate::dials, now));
    CHECK_FALSE(payer.spend(Rate::dials, now));
  }

  TEST_CASE("who reconnects gets no full bucket, and many payers spend from one of the process") {
    Budget budget(kHeld, kRates);
    const TimePoint now{1h};
    for (int i = 0; i < 2; ++i) {
      CHECK(budget.account(Payer::host("10.0.0.1")).spend(Rate::logLines, now));
    }
    CHECK_FALSE(budget.account(Payer::host("10.0.0.1")).spend(Rate::logLines, now));
    CHECK(budget.account(Payer::host("10.0.0.2")).spend(Rate::logLines, now));
    CHECK_FALSE(budget.account(Payer::host("10.0.0.2")).spend(Rate::logLines, now));
  }

  TEST_CASE(
      "the number of payers that are remembered is bounded, and none of them in use is lost") {
    Budget budget(kHeld, kRates);
    auto used = budget.account(Payer::host("used.example"));
    CHECK(used.take(Held::guests, 2));
    for (std::size_t i = 0; i < limits::kIdlePayers + 100; ++i) {
      (void)budget.account(Payer::host(std::to_string(i) + ".example"));
    }
    CHECK(budget.payers() == limits::kIdlePayers + 1);
    CHECK_FALSE(budget.account(Payer::host("used.example")).take(Held::guests));
  }

  TEST_CASE("a hold gives back what it took, also when another payer takes it over") {
    Budget budget(kHeld, kRates);
    const auto address = budget.account(Payer::host("10.0.0.1"));
    const auto member = budget.account(Payer::member(*PeerId::parse("s1")));
    {
      Hold hold(address, Held::queuedBytes);
      CHECK(hold.resize(80));
      CHECK_FALSE(hold.resize(101));
      CHECK(hold.amount() == 80);
      hold.moveTo(member);
      CHECK(address.held(Held::queuedBytes) == 0);
      CHECK(member.held(Held::queuedBytes) == 80);
      Hold other = std::move(hold);
      CHECK(hold.amount() == 0);
      CHECK(other.resize(10));
      CHECK(budget.held(Held::queuedBytes) == 10);
    }
    CHECK(member.held(Held::queuedBytes) == 0);
    CHECK(budget.held(Held::queuedBytes) == 0);
  }

  TEST_CASE("an account outlives its budget") {
    Account account;
    {
      Budget budget(kHeld, kRates);
      account = budget.account(Payer::host("10.0.0.1"));
    }
    CHECK(account.take(Held::guests, 2));
    const Account copy = std::exchange(account, Account());
    CHECK(copy.held(Held::guests) == 2);
    CHECK(copy.payer().text() == "10.0.0.1");
  }

  TEST_CASE("an account of no budget allows everything") {
    Account none;
    CHECK(none.take(Held::guests, 1'000'000'000));
    none.giveBack(Held::guests, 1'000'000'000);
    CHECK(none.spend(Rate::dials, TimePoint{}, 1e9));
  }
}

}  // namespace
}  // namespace espalier
