"""The operations of the contract, one blueprint a noun."""
