/*
 * The PCI host bridge: config space through 0xcf8/0xcfc and through ECAM, bus 0 (PCI Local Bus
 * Specification 3.0 "Configuration Mechanism #1"; PCI Express Base "ECAM").
 *
 * Function 00:00.0 is a host bridge and is always there; everything else reads ones. Passed-through
 * functions are added by a later room. Shared under the partition's device lock.
 *
 * CONFIG_ADDRESS takes dwords only. A byte at 0xcf9 is the chipset's reset control register, which
 * lies under it: such accesses are handed on to `reset_control`.
 */
#pragma once

#include "hv/bus.h"

enum { VPCI_ECAM_BASE = 0xe0000000u, VPCI_ECAM_BUSES = 1, VPCI_ECAM_SIZE = 0x100000u };

struct vpci {
	uint32_t address; /* CONFIG_ADDRESS */
	uint8_t host_bridge[256];
	struct bus_claim reset_control; /* ops and dev of port 0xcf9; ops NULL: nobody */
};

/* The caller sets reset_control afterwards, and does not claim 0xcf9 on the bus. */
void vpci_init(struct vpci *p);
void vpci_reset(struct vpci *p);
extern const struct vdev_ops vpci_address_ops; /* 0xcf8 size 4, width 4 */
extern const struct vdev_ops vpci_data_ops;    /* 0xcfc size 4, width 4 */
extern const struct vdev_ops vpci_ecam_ops;    /* VPCI_ECAM_BASE, width 4 */
