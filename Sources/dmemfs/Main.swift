print("dmemfs")
