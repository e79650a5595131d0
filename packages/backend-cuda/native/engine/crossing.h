/**
 * The way of numbers from one device to another, round after round. Two jobs make a round, each on the thread of its
 * device: one sends, one takes. Both wait for each other here, on the host, so that a device that is lost stops its own
 * thread alone, and the other hears of it:
 *
 *   sender  begin   until the round before was taken, since this one writes where that one lay
 *           send    until the numbers are there: in the sender's memory, where the taker reaches it, else the host's
 *   taker   take    until they were sent, then starts the copies
 *           confirm until the copies are done
 *
 * Rounds are counted from 1 and queued in one order on all threads, a sender's job before its taker's. A job waits only
 * for jobs queued before it, so none waits for ever; one that fails, or is dropped unrun, gives its round up.
 */
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/device.h"

namespace rwkv::cuda {

/** Bytes of a device's memory, and where they lie in the host's on their way. */
struct Stretch {
  CUdeviceptr at;
  size_t offset, bytes;
};

class Crossing {
 public:
  /** On the sender's thread, before all else. */
  void open_sending(Device& from);
  /** On the taker's thread: whether it reaches the sender's memory. */
  bool reach(Device& to);
  /** On the taker's thread. `staged`: pinned memory of the host to go through; null where the sender's is reached. */
  void open_taking(Device& to, unsigned char* staged, size_t bytes);
  /** On the taker's thread, after the last round. */
  void close_taking(Device& to);

  void begin(uint64_t round);
  void send(Device& from, uint64_t round, const std::vector<Stretch>& stretches);
  void take(Device& to, uint64_t round, const std::vector<Stretch>& stretches);
  void confirm(Device& to, uint64_t round);

  /** Nothing where the round was sent, or taken. */
  void give_up_sending(uint64_t round);
  void give_up_taking(uint64_t round);

 private:
  void require_fit(const std::vector<Stretch>& stretches) const;

  Peer sender_{};
  CUevent copied_ = nullptr;
  unsigned char* staged_ = nullptr;
  size_t bytes_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t sent_ = 0, taken_ = 0;
  /** Of `sent_`: what was sent, or that it was given up. */
  std::vector<Stretch> sent_stretches_;
  bool given_up_ = false;
};

/** A job's part in a round, which it gives up where it goes before it is done. */
class Passage {
 public:
  enum class End { sending, taking };

  Passage() = default;
  Passage(std::shared_ptr<Crossing> crossing, End end, uint64_t round, std::vector<Stretch> stretches)
      : crossing_(std::move(crossing)), end_(end), round_(round), stretches_(std::move(stretches)) {}
  Passage(Passage&&) = default;
  Passage& operator=(Passage&&) = delete;
  ~Passage() { give_up(); }

  explicit operator bool() const { return crossing_ != nullptr; }
  const std::vector<Stretch>& stretches() const { return stretches_; }

  void begin() const { crossing_->begin(round_); }
  void send(Device& from) const { crossing_->send(from, round_, stretches_); }
  void take(Device& to) const { crossing_->take(to, round_, stretches_); }
  void confirm(Device& to) const { crossing_->confirm(to, round_); }
  void give_up() const {
    if (!crossing_) return;
    if (end_ == End::sending) crossing_->give_up_sending(round_);
    else crossing_->give_up_taking(round_);
  }

 private:
  std::shared_ptr<Crossing> crossing_;
  End end_ = End::sending;
  uint64_t round_ = 0;
  std::vector<Stretch> stretches_;
};

}  // namespace rwkv::cuda
