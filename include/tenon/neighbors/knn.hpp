// Nearest neighbours: the distances, the exact search, and the classifier built on it.
#pragma once

#include "tenon/neighbors/knn_classifier.hpp"
#include "tenon/neighbors/knn_search.hpp"
#include "tenon/neighbors/metric.hpp"
