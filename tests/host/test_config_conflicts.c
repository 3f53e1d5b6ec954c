/*
 * The configuration: the exact text of each refusal of what keys or guests say against each other.
 */
#include "test.h"
#include "tests/fake/config_rig.h"

TEST(refuses_bad_flat_images)
{
	REFUSED(BASE "load = 0x7c00\n", "5:8: error: 'load' needs 'entry' too; write both or none");
	REFUSED(BASE "entry = 0x7c00\n",
		"5:9: error: 'entry' needs 'load' too; write both or none");
	REFUSED(BASE "load = 0x7c00\nentry = 0x100000\n",
		"6:9: error: '0x100000' is out of range; 0x0 to 0xfffff");
	REFUSED(BASE "load = 0x7c00\nentry = 0x7bff\n",
		"6:9: error: entry 0x7bff lies before load 0x7c00; it must be in the image");
	REFUSED(BASE "load = 0xa0000\nentry = 0xa0000\n",
		"5:8: error: there is no RAM at 0xa0000; 0xa0000-0xbffff is video memory");
	REFUSED(BASE "load = 0\nentry = 0\ncmdline = x\n",
		"5:8: error: a flat image gets no initrd, module or cmdline; remove them");
	REFUSED(BASE "load = 0\nentry = 0\ninitrd = x\n",
		"5:8: error: a flat image gets no initrd, module or cmdline; remove them");
	REFUSED(BASE "load = 0\nentry = 0\nmodule = x\n",
		"5:8: error: a flat image gets no initrd, module or cmdline; remove them");
}

TEST(refuses_emulated_ports)
{
	REFUSED(BASE "ports = 0xb0, 0x20-0x3f\n",
		"5:15: error: guest 'a': ports 0x20-0x3f meet its emulated interrupt controller; "
		"leave out 0x20-0x21");
	REFUSED(BASE "ports = 0x60a\n", "5:9: error: guest 'a': ports 0x60a-0x60a meet its "
					"emulated power management; leave "
					"out 0x600-0x60b");
	REFUSED(BASE "ports = 0x80\n",
		"5:9: error: guest 'a': ports 0x80-0x80 meet its emulated POST port; leave out "
		"0x80-0x80");
	REFUSED(BASE "ports = 0xcf8+8\n",
		"5:9: error: guest 'a': ports 0xcf8-0xcff meet its emulated PCI bus; leave out "
		"0xcf8-0xcff");
	REFUSED(BASE "serial = com2\nports = 0x2ff\n",
		"6:9: error: guest 'a': ports 0x2ff-0x2ff meet its emulated serial port; leave out "
		"0x2f8-0x2ff");
	ACCEPTED(BASE "serial = com2\nports = 0x2f7,0x300\n");
	ACCEPTED(BASE "ports = 0x22-0x3f,0x71f\n");
}

TEST(refuses_ports_of_the_system)
{
	REFUSED(BASE "ports = 0x3f8-0x3ff\n", "5:9: error: guest 'a': ports 0x3f8-0x3ff meet those "
					      "of console in [system]; change "
					      "one");
	REFUSED("[system]\ndebug-exit = 0xf4\n" BASE "ports = 0xf7\n",
		"7:9: error: guest 'a': ports 0xf7-0xf7 meet those of debug-exit in [system]; "
		"change "
		"one");
	REFUSED("[system]\nbochs-shutdown = yes\n" BASE "ports = 0x8900\n",
		"7:9: error: guest 'a': ports 0x8900-0x8900 meet those of bochs-shutdown in "
		"[system]; change one");
	ACCEPTED("[system]\nconsole = com2\n" BASE "ports = 0x3f8-0x3ff,0xf7,0x8900\n");
}

TEST(refuses_debug_exit_on_other_ports)
{
	REFUSED(BASE "debug-exit = 0x5fd\n",
		"5:14: error: guest 'a': ports 0x5fd-0x600 meet its emulated power management; "
		"leave out 0x600-0x60b");
	REFUSED(BASE "serial = com1\ndebug-exit = 0x3f8\n",
		"6:14: error: guest 'a': ports 0x3f8-0x3fb meet its emulated serial port; leave "
		"out "
		"0x3f8-0x3ff");
	REFUSED(BASE "ports = 0xf7\ndebug-exit = 0xf4\n",
		"6:14: error: guest 'a': debug-exit 0xf4 meets ports on line 5; its ports are "
		"0xf4-0xf7");
	ACCEPTED("[system]\ndebug-exit = 0xf4\n" BASE "ports = 0xf8\ndebug-exit = 0xf4\n");
}

TEST(refuses_mmio_that_is_taken)
{
	REFUSED(BASE "mmio = 0xfee00000+4K\n", "5:8: error: guest 'a': mmio 0xfee00000-0xfee00fff "
					       "meets its local APIC; a device of "
					       "the machine cannot be there");
	REFUSED(BASE "mmio = 0xe0000000+256M\n",
		"5:8: error: guest 'a': mmio 0xe0000000-0xefffffff meets its PCI bus; a device of "
		"the machine cannot be there");
	REFUSED(BASE "mmio = 0xfff000+4K\n",
		"5:8: error: guest 'a': mmio 0xfff000-0xffffff meets its RAM; a device of the "
		"machine cannot be there");
	REFUSED(BASE "mmio = 0xc0000+4K\n", "5:8: error: guest 'a': mmio 0xc0000-0xc0fff meets its "
					    "RAM; a device of the machine "
					    "cannot be there");
	REFUSED("[guest a]\ncpus = 0\nmemory = 4G\nkernel = k\nmmio = 0x13ffff000+8K\n",
		"5:8: error: guest 'a': mmio 0x13ffff000-0x140000fff meets its RAM; a device of "
		"the "
		"machine cannot be there");
	ACCEPTED("[guest a]\ncpus = 0\nmemory = 4G\nkernel = k\n"
		 "mmio = 0x140000000+4K, 0xc0000000+4K\n");
	ACCEPTED(BASE "mmio = 0xa0000+128K, 0x1000000+4K\n");
}

TEST(refuses_what_two_guests_share)
{
	REFUSED(BASE "[guest b]\ncpus = 2,0\nmemory = 1M\nkernel = k\n",
		"6:8: error: guest 'b': CPU 0 already belongs to guest 'a' (line 2); guests share "
		"no CPU");
	REFUSED(BASE "ports = 0xb0-0xbf\n" SECOND "ports = 0x70f,0xbf+2\n",
		"10:15: error: guest 'b': ports 0xbf-0xc0 overlap those of guest 'a' (line 5); "
		"give "
		"them to one");
	REFUSED(BASE "mmio = 0xfed00000+8K\n" SECOND "mmio = 0xfed01000+4K\n",
		"10:8: error: guest 'b': mmio 0xfed01000-0xfed01fff overlap those of guest 'a' "
		"(line "
		"5); give them to one");
	REFUSED(BASE "pci = 00:03.0\n" SECOND "pci = 00:03.1, 0:3.0\n",
		"10:16: error: guest 'b': PCI 00:03.0 already belongs to guest 'a' (line 5); give "
		"it "
		"to one");
	ACCEPTED(BASE "ports = 0xb0-0xbf\npci = 00:03.0\nmmio = 0xfed00000+4K\n" SECOND
		      "ports = 0xc0\npci = 00:03.1\nmmio = 0xfed01000+4K\n");
}

TEST(refuses_what_a_guest_has_twice)
{
	REFUSED(BASE "ports = 0xb0\nports = 0xaf-0xb1\n",
		"6:9: error: guest 'a': ports 0xaf-0xb1 overlap those of guest 'a' (line 5); give "
		"them to one");
	REFUSED(BASE "pci = 00:03.0,00:03.0\n", "5:15: error: guest 'a': PCI 00:03.0 already "
						"belongs to guest 'a' (line 5); give it "
						"to one");
}

TEST(refuses_two_files_of_one_name)
{
	REFUSED(BASE "initrd = x/k\n",
		"5:10: error: another file named 'k' is on line 4; in the boot image they would be "
		"one, rename it");
	REFUSED(BASE "module = x/m\n" SECOND "module = y/m z\n",
		"10:10: error: another file named 'm' is on line 5; in the boot image they would "
		"be "
		"one, rename it");
	ACCEPTED(BASE "module = k\nmodule = k x\n" SECOND);
}
