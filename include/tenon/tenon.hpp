// Tenon on the CPU, and a reading list: each folder builds on those before it.
#pragma once

// core: errors, shapes, scalar types, random numbers, threads
#include "tenon/core/text.hpp"
#include "tenon/core/error.hpp"
#include "tenon/core/shape.hpp"
#include "tenon/core/scalar.hpp"
#include "tenon/core/device.hpp"
#include "tenon/core/random.hpp"
#include "tenon/core/threads.hpp"
#include "tenon/core/memory.hpp"

// tensor: values and what can be done with them
#include "tenon/tensor/tensors.hpp"

// autograd: values with history, and their derivatives
#include "tenon/autograd/autograd.hpp"

// nn: layers, losses, the summary table
#include "tenon/nn/nn.hpp"

// models: whole networks
#include "tenon/models/lenet.hpp"
#include "tenon/models/cifar_resnet.hpp"
#include "tenon/models/resnet.hpp"

// optim: how parameters move
#include "tenon/optim/optim.hpp"

// Further folders are included where they are used, to keep compile times and dependencies out of everybody's way:
//   tenon/io/…             files: safetensors, npy, JSON, gzip    (nlohmann-json, zlib)
//   tenon/image/…          pictures: decode, resize, draw         (stb)
//   tenon/features/…       SIFT, matching, homography
//   tenon/cluster/…, neighbors/…, svm/…                           k-means, nearest neighbours, support vectors
//   tenon/decomposition/…  PCA                                    (Eigen)
//   tenon/bovw/…           bags of visual words
//   tenon/data/…           data sets, transforms, the loader      (io, image)
//   tenon/train/…          the training loop and checkpoints      (io)
//   tenon/report/…         plots and HTML reports                 (cairo)
