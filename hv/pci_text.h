/*
 * A PCI function as the line that a configuration takes. The boot log, the hardware report and
 * `mullion-config devices` print the same. Pure.
 */
#pragma once

#include "hv/pci.h"

struct pci_line {
	char text[160];
};

/* Neither a bridge, nor an IOMMU, nor what only firmware understands: a guest could have it. */
bool pci_is_device(const struct pci_function *f);
/*
 * "pci = 00:04.0  # 1b36:0010 storage controller, MSI-X 65, 1 BAR"; what cannot be passed through
 * begins with "PCI  ". Returns l->text.
 */
const char *pci_line(struct pci_line *l, const struct pci_function *f);
