// A convolution of cases.hpp on Tenon, with its operands.
#pragma once

#include <tenon/tenon.hpp>

#include "cases.hpp"

namespace bench {

class TenonConv {
 public:
  explicit TenonConv(const Case& c)
      : work_(c.work),
        g_{.n = c.conv.n,
           .h = c.conv.h,
           .w = c.conv.w,
           .c = c.conv.c,
           .o = c.conv.o,
           .kh = c.conv.k,
           .kw = c.conv.k,
           .oh = c.conv.oh(),
           .ow = c.conv.ow(),
           .stride_h = c.conv.stride,
           .stride_w = c.conv.stride,
           .pad_h = c.conv.padding,
           .pad_w = c.conv.padding},
        x_(numbers(c.conv.x_size())),
        w_(numbers(c.conv.w_size())),
        y_(numbers(c.conv.y_size())) {}

  // Forward, with weights that stay as in inference, or one of the two gradients, as in training.
  void run() {
    using Engine = tenon::Backend<tenon::Cpu>;
    if (work_ == Work::forward) {
      Engine::conv2d_forward(g_, x_.data(), w_.data(), &forms_, {}, y_.data());
    } else if (work_ == Work::data) {
      Engine::conv2d_backward_data(g_, y_.data(), w_.data(), x_.data());
    } else {
      Engine::conv2d_backward_weights(g_, x_.data(), y_.data(), w_.data());
    }
  }

 private:
  Work work_;
  tenon::Conv2dGeometry g_;
  Numbers x_, w_, y_;
  tenon::Derived forms_;  // of the weights
};

}  // namespace bench
