#include "common/kafka/client_config.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>

#include "common/kafka/client_statistics.h"
#include "common/kafka/clock_watch.h"
#include "common/kafka/consumer_config.h"

namespace weir::kafka {
namespace {

// What a consumer with these properties is set up with.
Result<std::map<std::string, std::string>> Configured(const std::map<std::string, std::string>& properties) {
  ConsumerOptions options;
  options.client.brokers = "127.0.0.1:1";
  options.client.properties = properties;
  ClientContext context;
  auto config = MakeConsumerConfig(options);
  if (!config) return Fail(config.error());
  auto conf = MakeConf(options.client, "127.0.0.1:1", *config, &context);
  if (!conf) return Fail(conf.error());
  std::size_t count = 0;
  const char** pairs = rd_kafka_conf_dump(conf->get(), &count);
  std::map<std::string, std::string> values;
  for (std::size_t i = 0; i + 1 < count; i += 2) values[pairs[i]] = pairs[i + 1];
  rd_kafka_conf_dump_free(pairs, count);
  return values;
}

TEST(ClientConfig, UsersOverrideDefaults) {
  EXPECT_EQ(Configured({})->at("queued.min.messages"), "32");
  EXPECT_EQ(Configured({{"queued.min.messages", "64"}})->at("queued.min.messages"), "64");
}

TEST(ClientConfig, WhatWeirReliesOnIsRefusedByName) {
  for (const char* name : {"enable.auto.offset.store", "partition.assignment.strategy", "group.id", "acks",
                           "bootstrap.servers", "topic.acks", "session.timeout.ms"}) {
    const auto refused = Configured({{name, "s3cret"}});
    ASSERT_FALSE(refused) << name;
    EXPECT_EQ(refused.error().error_class, ErrorClass::kConfig);
    EXPECT_NE(refused.error().message.find(name), std::string::npos) << refused.error().message;
  }
}

TEST(ClientConfig, EveryFixedPropertyIsReserved) {
  ConsumerOptions options;
  options.group_instance_id = "worker-0";
  const auto config = MakeConsumerConfig(options);
  ASSERT_TRUE(config);
  for (const auto& [name, value] : config->fixed) EXPECT_TRUE(IsReserved(name)) << name;
  EXPECT_FALSE(IsReserved("sasl.password"));
}

TEST(ClientConfig, ErrorsNameThePropertyAndNeverItsValue) {
  for (const char* name : {"sasl.passwort", "security.protocol", "queued.min.messages"}) {
    const auto refused = Configured({{name, "s3cret"}});
    ASSERT_FALSE(refused) << name;
    EXPECT_EQ(refused.error().error_class, ErrorClass::kConfig);
    const auto text = refused.error().message + refused.error().hint;
    EXPECT_NE(text.find(name), std::string::npos) << text;
    EXPECT_EQ(text.find("s3cret"), std::string::npos) << text;
  }
}

TEST(ClientConfig, ASessionTooShortToJoinIsRefused) {
  ConsumerOptions options;
  options.session_timeout = std::chrono::milliseconds{3'199};
  EXPECT_EQ(MakeConsumerConfig(options).error().error_class, ErrorClass::kConfig);
  options.session_timeout = std::chrono::milliseconds{3'200};
  EXPECT_TRUE(MakeConsumerConfig(options));
}

TEST(ClientConfig, AGroupIsCooperativeWhereLibrdkafkaDoesItWellOrItIsAskedFor) {
  constexpr int kDebian12 = 0x020002ff, kBefore = 0x020600ff, kGood = 0x020601ff, kDebian13 = 0x020800ff;
  ConsumerOptions options;
  options.client.brokers = "127.0.0.1:1";
  EXPECT_FALSE(IsCooperative(options, kDebian12));
  EXPECT_FALSE(IsCooperative(options, kBefore));
  EXPECT_TRUE(IsCooperative(options, kGood));
  EXPECT_TRUE(IsCooperative(options, kDebian13));
  options.assignment = Assignment::kEager;
  EXPECT_FALSE(IsCooperative(options, kDebian13));
  options.assignment = Assignment::kCooperative;
  EXPECT_TRUE(IsCooperative(options, kDebian12));
  options.client.brokers = "file:/run/broker.address";
  EXPECT_FALSE(IsCooperative(options, kDebian13));
}

TEST(ClientConfig, TheStrategyIsOneAlone) {
  ConsumerOptions options;
  options.client.brokers = "127.0.0.1:1";
  const auto strategy = [&](Assignment assignment) {
    options.assignment = assignment;
    const auto config = MakeConsumerConfig(options);
    for (const auto& [name, value] : config->fixed) {
      if (name == "partition.assignment.strategy") return value;
    }
    return std::string();
  };
  EXPECT_EQ(strategy(Assignment::kEager), "range");
  EXPECT_EQ(strategy(Assignment::kCooperative), "cooperative-sticky");
}

TEST(ClientConfig, NoTwoClientIdsAreAlike) {
  EXPECT_NE(Configured({})->at("client.id"), Configured({})->at("client.id"));
}

TEST(Brokers, AreTextOrTheTextOfAFile) {
  const auto path = std::filesystem::temp_directory_path() / ("weir-brokers-" + std::to_string(getpid()));
  const std::string brokers = "file:" + path.string();
  EXPECT_EQ(ResolveBrokers("a:1,b:2"), "a:1,b:2");
  EXPECT_EQ(ResolveBrokers(brokers), "");
  std::ofstream(path) << " 127.0.0.1:4711 \n";
  EXPECT_EQ(ResolveBrokers(brokers), "127.0.0.1:4711");
  EXPECT_FALSE(Moved(brokers, "127.0.0.1:4711"));
  EXPECT_TRUE(Moved(brokers, "127.0.0.1:4712"));
  std::ofstream(path) << " \n";
  EXPECT_EQ(ResolveBrokers(brokers), "");
  EXPECT_FALSE(Moved(brokers, "127.0.0.1:4711")) << "a file without an address is no new address";
  std::filesystem::remove(path);
}

TEST(ClockWatchTest, SeesWhatIsSetBackAndNothingElse) {
  using Millis = ClockWatch::Millis;
  constexpr Millis kDay{86'400'000};
  ClockWatch watch;
  EXPECT_FALSE(watch.SetBack(20 * kDay, Millis(5'000)));
  EXPECT_FALSE(watch.SetBack(20 * kDay + Millis(100), Millis(5'100)));
  EXPECT_FALSE(watch.SetBack(20 * kDay - Millis(700), Millis(5'200))) << "a second is soon over";
  EXPECT_FALSE(watch.SetBack(22 * kDay, Millis(5'300))) << "forward: who waits wakes";
  EXPECT_TRUE(watch.SetBack(20 * kDay, Millis(5'400)));
  EXPECT_FALSE(watch.SetBack(20 * kDay, Millis(5'500))) << "told once";
}

TEST(Statistics, AreTheClientsTotalsAndItsBrokersState) {
  const auto read = ReadStatistics(
      R"({"name":"c","brokers":{"a:1/1":{"state":"UP","rxbytes":12}},"topics":{},"rx":3,"rx_bytes":4711,"x":1})");
  EXPECT_EQ(read.bytes_received, 4711);
  EXPECT_TRUE(read.any_broker_up);
  EXPECT_FALSE(
      ReadStatistics(R"({"brokers":{"a:1/1":{"state":"DOWN"}},"cgrp":{"state":"up"}})").any_broker_up);
  EXPECT_EQ(ReadStatistics("{}").bytes_received, 0);
  EXPECT_EQ(ReadStatistics(R"({"topics":{"t":{"partitions":{
      "0":{"stored_offset":30,"committed_offset":10,"eof_offset":-1001,"lo_offset":0,"hi_offset":100},
      "1":{"stored_offset":-1001,"committed_offset":93,"lo_offset":-1001,"hi_offset": 100},
      "2":{"stored_offset":-1001,"committed_offset":-1001,"lo_offset":20,"hi_offset":25},
      "-1":{"stored_offset":-1001,"committed_offset":-1001,"lo_offset":-1001,"hi_offset":-1001}}}}})")
                .lag,
            70 + 7 + 5);
}

TEST(Topics, APrefixGoesBeforeEveryNameButOnTheEmbeddedBroker) {
  ClientOptions options;
  options.brokers = "a:1";
  options.topic_prefix = "team-a.";
  const Topics topics = TopicsOf(options);
  EXPECT_EQ(topics.tasks, "team-a.weir.tasks");
  EXPECT_EQ(topics.interactive, "team-a.weir.tasks.interactive");
  EXPECT_EQ(topics.dead_letters, "team-a.dlq.weir.tasks");
  EXPECT_EQ(topics.group, "team-a.weir-workers");
  options.brokers = "file:/run/broker.address";
  EXPECT_EQ(TopicsOf(options).tasks, "weir.tasks");
  EXPECT_EQ(TopicsOf(options).group, "weir-workers");
}

}  // namespace
}  // namespace weir::kafka
