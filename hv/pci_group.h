/*
 * Groups of PCI functions: those that can reach each other without passing the IOMMU, or that it
 * cannot tell apart. One group is for one guest.
 *
 * Two functions are in one group when
 * - a bridge above both does not send everything upstream: a conventional one, a bridge from PCI
 *   Express to PCI, or a port without access control services (ACS) that are on. One downstream
 * port without them is enough for all that is behind its switch;
 * - they are of one device that has several, and neither has ACS. That holds on bus 0 too: what a
 *   chipset does between the functions of one of its devices is not known. Intel's integrated PCI
 *   Express endpoints are not counted in: their requests pass the root complex, which translates
 *   first (VT-d, "Root-Complex Peer to Peer Considerations"). Different devices of a root bus are apart;
 * - bus numbers contradict each other, so that the way to one of them is not known.
 *
 * A group may hold functions that no guest owns: those are silenced.
 */
#pragma once

#include "hv/pci.h"

/* Sets `group` and `requester` of all functions. Boot CPU, by pci_enumerate. */
void pci_group_all(struct pci_function *functions, unsigned count);

/* Of two in pci_functions: why they are in one group, in words that follow both names. */
const char *pci_group_why(const struct pci_function *a, const struct pci_function *b);

/* What the requests of a function carry: its own id, or that of a bridge above it. */
uint16_t pci_requester(uint16_t bdf);
