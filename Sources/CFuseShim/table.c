#include "CFuseShim.h"
