/*
 * What a guest's PC has, in ACPI's words. The devices themselves are in hv/vdev/.
 *
 * acpi_guest.c patches SPRT and SIRQ in the compiled bytes for each guest; everything else is the
 * same for all.
 */
DefinitionBlock ("dsdt.aml", "DSDT", 2, "MULLN ", "MULLION ", 0x00000001)
{
    // Power-off: the value of SLP_TYP that vpm.c takes for S5. No other sleep state exists.
    Name (\_S5, Package (0x04) { 0x05, 0x05, Zero, Zero })

    // The UART's port (0: none) and IRQ. The odd values make iasl keep a word and a byte.
    Name (\SPRT, 0xA55A)
    Name (\SIRQ, 0x5A)

    Scope (\_SB)
    {
        // A plain PCI bridge: a PCIe one would ask the guest to negotiate _OSC for nothing.
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A03"))
            Name (_UID, Zero)
            Name (_BBN, Zero)
            Name (_CRS, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
                    0x0000, 0x0000, 0x0000, 0x0000, 0x0001)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0x0000, 0x0000, 0x0CF7, 0x0000, 0x0CF8)
                IO (Decode16, 0x0CF8, 0x0CF8, 0x01, 0x08)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0x0000, 0x0D00, 0xFFFF, 0x0000, 0xF300)
                // From where low RAM ends at most up to the I/O APIC, without the ECAM.
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable,
                    ReadWrite, 0x00000000, 0xC0000000, 0xDFFFFFFF, 0x00000000, 0x20000000)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable,
                    ReadWrite, 0x00000000, 0xE0100000, 0xFEBFFFFF, 0x00000000, 0x1EB00000)
            })

            Device (PIC)
            {
                Name (_HID, EisaId ("PNP0000"))
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0x0020, 0x0020, 0x01, 0x02)
                    IO (Decode16, 0x00A0, 0x00A0, 0x01, 0x02)
                    IO (Decode16, 0x04D0, 0x04D0, 0x01, 0x02)
                    IRQNoFlags () {2}
                })
            }

            Device (PIT)
            {
                Name (_HID, EisaId ("PNP0100"))
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0x0040, 0x0040, 0x01, 0x04)
                    IRQNoFlags () {0}
                })
            }

            Device (RTC)
            {
                Name (_HID, EisaId ("PNP0B00"))
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0x0070, 0x0070, 0x01, 0x02)
                    IRQNoFlags () {8}
                })
            }

            Device (UAR1)
            {
                Name (_HID, EisaId ("PNP0501"))
                Name (_UID, One)
                Method (_STA, 0, NotSerialized)
                {
                    If (SPRT)
                    {
                        Return (0x0F)
                    }
                    Return (Zero)
                }

                Method (_CRS, 0, Serialized)
                {
                    Name (RBUF, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0000, 0x0000, 0x01, 0x08, UIO)
                        IRQNoFlags (UIRQ) {4}
                    })
                    CreateWordField (RBUF, UIO._MIN, PMIN)
                    CreateWordField (RBUF, UIO._MAX, PMAX)
                    CreateWordField (RBUF, UIRQ._INT, MASK)
                    PMIN = SPRT
                    PMAX = SPRT
                    MASK = One << SIRQ
                    Return (RBUF)
                }
            }
        }

        // What is decoded but belongs to no device: power management, ECAM, APICs.
        Device (MBRD)
        {
            Name (_HID, EisaId ("PNP0C02"))
            Name (_UID, One)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0061, 0x0061, 0x01, 0x01)
                IO (Decode16, 0x0080, 0x0080, 0x01, 0x01)
                IO (Decode16, 0x0092, 0x0092, 0x01, 0x01)
                IO (Decode16, 0x0600, 0x0600, 0x01, 0x0C)
                Memory32Fixed (ReadWrite, 0xE0000000, 0x00100000)
                Memory32Fixed (ReadWrite, 0xFEC00000, 0x00001000)
                Memory32Fixed (ReadWrite, 0xFEE00000, 0x00001000)
            })
        }
    }
}
